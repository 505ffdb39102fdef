"""The two implementations as processes on loopback, started with the same arguments.

The real one is vLLM's CPU build in the environment that the local cluster's engine image uses; SLMFLEET_VLLM_PYTHON and
SLMFLEET_VLLM_MODEL name another interpreter and model instead.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster import environments
from e2e.cluster.console import Console
from e2e.cluster.settings import REPOSITORY, Settings

START_SECONDS = 900.0
"""The real server needs 60 to 110 s on two cores, and on two that others use as well a multiple of that."""
ANSWER_SECONDS = 120.0
"""Between two pieces of an answer."""
MAX_MODEL_LEN = 2048
"""Of the tiny model."""
NAMES = ("tiny", "tiny-alias")
OPTIONS = ("--served-model-name", *NAMES, "--host", "127.0.0.1", "--max-num-seqs", "8", "--shutdown-timeout", "300")


@dataclass(frozen=True)
class Implementation:
    """One way to run `python -m vllm.entrypoints.openai.api_server`."""

    name: str
    python: Path
    model: Path
    environment: dict[str, str]
    launcher: Path | None = None
    """What runs the module instead of `-m`."""

    def command(self, *options: str) -> list[str]:
        """The argv with the model and `options`."""
        module = "vllm.entrypoints.openai.api_server"
        run = "-m" if self.launcher is None else str(self.launcher)
        return [str(self.python), run, module, "--model", str(self.model), *options]

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run until it ends by itself."""
        return subprocess.run(
            self.command(*options),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )


def vllm(work: Path) -> Implementation:
    """The real one; made on the first use, which downloads its packages."""
    python, model = os.environ.get("SLMFLEET_VLLM_PYTHON"), os.environ.get("SLMFLEET_VLLM_MODEL")
    if python is None or model is None:
        settings = Settings()
        venv = environments.engine(REPOSITORY / "requirements" / "engine-cpu.txt", settings, Console())
        python, model = str(venv / "bin" / "python"), str(environments.tiny_model(venv, settings, Console()))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(work),
        "VLLM_CACHE_ROOT": str(work / "vllm-cache"),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    return Implementation("vllm", Path(python), Path(model), environment)


def simulator(work: Path) -> Implementation:
    """The look-alike, behind the command that starts vLLM, with the tiny model's config.json."""
    model = work / "tiny"
    model.mkdir(exist_ok=True)
    config = {
        "max_position_embeddings": MAX_MODEL_LEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
    }
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shim = REPOSITORY / "images" / "simulator" / "shim"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{shim}:{REPOSITORY / 'operator'}",
        "SLMFLEET_SIM_DECODE_STEP_MS": "3",
    }
    return Implementation("simulator", Path(sys.executable), model, environment)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    kind: str
    body: bytes
    connection: str = ""
    """The header of that name."""

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON; tests say what they expect
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The chunks of a stream, without the closing [DONE], which must be there."""
        lines = [line.removeprefix("data: ") for line in self.body.decode().splitlines() if line]
        assert lines[-1] == "[DONE]"
        return [json.loads(line) for line in lines[:-1]]


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    implementation: Implementation
    process: "subprocess.Popen[bytes]"
    port: int

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """GET."""
        return self._call("GET", path, None, headers=headers)

    def put(self, path: str, body: object, *, headers: Mapping[str, str] | None = None) -> Answer:
        """PUT JSON."""
        return self._call("PUT", path, json.dumps(body).encode(), headers=headers)

    def post(
        self, path: str, body: object, *, seconds: float = ANSWER_SECONDS, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST JSON, or bytes as they are; raises TimeoutError after `seconds` without an answer."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._call("POST", path, content, seconds, headers)

    @contextlib.contextmanager
    def streaming(self, path: str, body: dict[str, Any]) -> Iterator[http.client.HTTPResponse]:
        """An answer that has begun: the engine works on the request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(body | {"stream": True}).encode(), headers)
            response = connection.getresponse()
            response.readline()
            yield response
        finally:
            connection.close()

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None,
        seconds: float = ANSWER_SECONDS,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            kind, told = response.headers.get("Content-Type", ""), response.headers.get("Connection", "")
            return Answer(response.status, kind, response.read(), told)
        finally:
            connection.close()


@contextlib.contextmanager
def started(implementation: Implementation, log: Path, options: Sequence[str] = OPTIONS) -> Iterator[Running]:
    """A server that answers /health, killed at the end if it is still there."""
    with _kept_port() as port:
        with log.open("wb") as output:
            process = subprocess.Popen(
                implementation.command("--port", str(port), *options),
                env=implementation.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            server = Running(implementation, process, port)
            _wait_until_healthy(server, log)
            yield server
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # the real one has engine and worker processes
                process.wait()


@contextlib.contextmanager
def _kept_port() -> Iterator[int]:
    """A port that nobody gets by chance before the server, which takes it up to a minute after its start.

    Linux lets a second socket have the port where both say SO_REUSEADDR and only one listens; both servers say it.
    """
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


def _wait_until_healthy(server: Running, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        code = server.process.poll()
        assert code is None, f"{server.implementation.name} ended with {code}: {log.read_text()[-2000:]}"
        with contextlib.suppress(OSError):
            if server.get("/health").status == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"{server.implementation.name} did not answer in {START_SECONDS:.0f} s: {log}")
