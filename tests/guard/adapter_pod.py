"""A guarded engine with adapters, on virtual time."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import looptime

from slmfleet.guard import Guard
from slmfleet.guard.asgi import Scope

from .asgi import TOKEN, WITH_TOKEN, Answer, exchange
from .vllm import VLLM

JSON = [(b"content-type", b"application/json")]


def virtually(test: Callable[[], Awaitable[None]]) -> None:
    """Run it on a loop whose sleeps take no time."""
    loop = looptime.patch_event_loop(asyncio.new_event_loop())
    try:
        loop.run_until_complete(_and_leave(test))
    finally:
        loop.close()


async def _and_leave(test: Callable[[], Awaitable[None]]) -> None:
    await test()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def name(alias: str, version: int) -> str:
    """An adapter's name in the engine."""
    return f"{alias}@{version:012x}"


V1, V2, OTHER = ("legal", 1), ("legal", 2), ("sales", 3)
"""Versions, as tables are made of."""
N1, N3 = name(*V1), name(*OTHER)


@dataclass
class AdapterPod:
    """The guard in front of vLLM."""

    root: Path
    hold: bool = False
    file: object = None
    """The table for engines that start."""
    vllm: VLLM = field(default_factory=VLLM)

    def __post_init__(self) -> None:
        self.adapters = self.root / "adapters"
        folder, table = self.root / "guard", self.root / "table.json"
        for made in (self.adapters, folder, self.root / "state"):
            made.mkdir(parents=True, exist_ok=True)
        if self.file is not None:
            table.write_text(json.dumps(self.file))
        adapters = {"table": str(table), "roots": [str(self.adapters)], "hold": self.hold}
        config = {"maxBody": 10_000, "extraRoutes": [], "state": str(self.root / "state"), "adapters": adapters}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "token").write_text(TOKEN)
        self.guard = Guard(self.vllm, folder=folder)

    def path(self, version: int) -> str:
        """Where the files of a version are."""
        return str(self.adapters / f"{version:064x}")

    def table(self, entries: Mapping[tuple[str, int], bool]) -> dict[str, Any]:
        """Of versions by (alias, version); each with its alias or without."""
        return {
            "adapters": {
                name(alias, version): {"path": self.path(version), "alias": alias if active else None}
                for (alias, version), active in entries.items()
            }
        }

    async def call(
        self, method: str, path: str, body: object = None, headers: Iterable[tuple[bytes, bytes]] = (), query: str = ""
    ) -> Answer:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        length = (b"content-length", str(len(content)).encode())
        scope: Scope = {"type": "http", "method": method, "path": path, "headers": [length, *headers]}
        return Answer(await exchange(self.guard, scope | {"query_string": query.encode()}, [content]))

    async def put(self, entries: Mapping[tuple[str, int], bool]) -> dict[str, Any]:
        answer = await self.call("PUT", "/slmfleet/adapters", self.table(entries), WITH_TOKEN)
        assert answer.status == 202, answer.body
        state: dict[str, Any] = json.loads(answer.body)
        return state

    async def state(self) -> dict[str, Any]:
        answer = await self.call("GET", "/slmfleet/adapters", None, WITH_TOKEN)
        assert answer.status == 200
        state: dict[str, Any] = json.loads(answer.body)
        return state

    async def states(self) -> dict[str, str]:
        """State by name in the engine, with the reason behind a colon where there is one."""
        found = (await self.state())["adapters"]
        return {key: ":".join(filter(None, (entry["state"], entry["reason"]))) for key, entry in found.items()}

    async def complete(self, model: str, **body: object) -> Answer:
        return await self.call("POST", "/v1/completions", {"model": model, **body}, JSON)

    async def weights(self, model: str) -> str | None:
        """The path of the weights that answer; None for 404."""
        answer = await self.complete(model)
        return None if answer.status == 404 else str(json.loads(answer.body)["weights"])


def digest(table: object) -> str:
    """As the operator computes it."""
    return hashlib.sha256(json.dumps(table, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
