"""The replicas: simulators with the real guard in front, each a process of its own on an address of its own."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import aiohttp

from slmfleet.engine.adapters import TABLE_FILE
from slmfleet.engine.container import PORT
from slmfleet.engine.guard import MIDDLEWARE, PACKAGE, TOKEN_FILE, sources
from slmfleet.guard.middleware import TOKEN_HEADER

from .objects import MODEL, NAME, SLOTS

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 120.0
LOOK_SECONDS: Final = 0.01
TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(*pids: int) -> float:
    """CPU time of processes since their start."""
    total = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


class Replica:
    """One engine, and what the kubelet does for it: files, start, kill."""

    def __init__(self, number: int, folder: Path, token: str, *, guarded: bool = True) -> None:
        """`folder` is that of the whole benchmark."""
        self.number = number
        self.address = f"127.0.{8 + number // 250}.{1 + number % 250}"
        self.starts = 0
        self._folder, self._guarded = folder / f"replica-{number}", guarded
        self._headers = {TOKEN_HEADER.decode(): token}
        self._process: subprocess.Popen[bytes] | None = None
        self._write_guard(folder, token)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.address}:{PORT}"

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    def mount(self, table: str) -> None:
        """The table for engines that start, as the ConfigMap has it."""
        (self._folder / TABLE_FILE).write_text(table, encoding="utf-8")

    def start(self) -> None:
        """Start its engine, as the pod's command does."""
        launch = self._folder / PACKAGE / "launch.py"
        middlewares = ["bench.lora.counted.Counted", *([MIDDLEWARE] if self._guarded else [])]
        command = [sys.executable, str(launch), "slmfleet.simulator", "--host", self.address, "--port", str(PORT)]
        command += ["--model", MODEL, "--served-model-name", NAME, "--enable-lora", "--max-loras", "8"]
        command += ["--max-cpu-loras", str(SLOTS)]
        for middleware in middlewares:
            command += ["--middleware", middleware]
        told = {"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
        told |= {"SLMFLEET_SIM_START_SECONDS": "0"}
        self.starts += 1
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env={**os.environ, **told}, stdout=log, stderr=log)

    def kill(self) -> None:
        """End it as an engine that crashes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def answers(self, session: aiohttp.ClientSession, path: str = "/health", *, healthy: bool = False) -> None:
        """Return once anything answers there, or, if `healthy`, once it answers 200."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    async with session.get(f"{self.url}{path}") as response:
                        if response.status == 200 or not healthy:
                            return
                except aiohttp.ClientError:
                    pass  # nobody listens yet
                await asyncio.sleep(LOOK_SECONDS)

    async def get(self, session: aiohttp.ClientSession, path: str) -> Any:  # noqa: ANN401 - JSON
        """A route that is open to the operator alone."""
        async with session.get(f"{self.url}{path}", headers=self._headers) as response:
            response.raise_for_status()
            return await response.json(content_type=None)

    async def completion(self, session: aiohttp.ClientSession, model: str) -> str:
        """What a client gets."""
        body = {"model": model, "prompt": "hello", "max_tokens": 1}
        async with session.post(f"{self.url}/v1/completions", json=body) as response:
            response.raise_for_status()
            answer = await response.json()
            return str(answer["choices"][0]["text"])

    async def load(self, session: aiohttp.ClientSession, name: str, path: str) -> None:
        """vLLM's own route, which a guard would keep for itself."""
        body = {"lora_name": name, "lora_path": path}
        async with session.post(f"{self.url}/v1/load_lora_adapter", json=body) as response:
            response.raise_for_status()

    def _write_guard(self, folder: Path, token: str) -> None:
        package, state = self._folder / PACKAGE, self._folder / "state"
        for made in (package, state):
            made.mkdir(parents=True)
        for name, text in sources().items():
            (package / name).write_text(text, encoding="utf-8")
        adapters = {"table": str(self._folder / TABLE_FILE), "roots": [str(folder / "adapters")], "hold": False}
        config = {"maxBody": 2**25, "extraRoutes": [], "state": str(state), "adapters": adapters}
        (package / "config.json").write_text(json.dumps(config))
        (package / TOKEN_FILE).write_text(token)
