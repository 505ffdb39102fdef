"""Everything that a run has: replicas, the operator's process, what statuses say."""

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import aiohttp

from slmfleet.core.names import Names
from slmfleet.guard.adapter_layer import TABLE_ROUTE
from slmfleet.kube.client import Client
from slmfleet.kube.resources import CONFIG_MAPS
from slmfleet.runtime.objects import LORA_ADAPTERS

from .fleet import PATIENCE, Replica
from .objects import FLEET, NAMESPACE, adapter


@dataclass
class Shown:
    """What the statuses of the adapters say, by a watch of our own."""

    loaded: dict[str, str] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, client: Client) -> None:
        """For ever."""
        async for _, obj in client.watch(LORA_ADAPTERS, NAMESPACE, labels="", since="0", seconds=3600):
            self.loaded[obj["metadata"]["name"]] = (obj.get("status") or {}).get("loaded", "")
            self.news.set()

    async def all_say(self, names: Sequence[str], loaded: str) -> None:
        """Return once they do."""
        async with asyncio.timeout(PATIENCE):
            while not all(self.loaded.get(name) == loaded for name in names):
                self.news.clear()
                await self.news.wait()


@dataclass
class World:
    """Everything that runs."""

    folder: Path
    client: Client
    session: aiohttp.ClientSession
    replicas: list[Replica]
    operator: int
    """Its process."""
    told: Connection
    shown: Shown
    paths: dict[str, Path] = field(default_factory=dict)
    """Where the files of each adapter are."""

    async def create(self, names: Sequence[str]) -> None:
        """Create these adapters; their files are there before the first one is."""
        made = [adapter(self.folder / "adapters", name) for name in names]
        self.paths |= {m["metadata"]["name"]: Path(m["status"]["source"]["path"]) for m in made}
        await asyncio.gather(*(self.client.create(LORA_ADAPTERS, NAMESPACE, m, within=60) for m in made))

    async def table(self) -> str:
        """The table for engines that start, as the operator has written it."""
        found = await self.client.get(CONFIG_MAPS, NAMESPACE, Names.of(FLEET).adapter_table)
        (text,) = found["data"].values()
        return str(text)

    async def numbers(self) -> dict[str, float]:
        """The operator's own metrics."""
        self.told.send("numbers")
        found: dict[str, float] = await asyncio.to_thread(self.told.recv)
        return found

    async def residencies(self) -> int:
        """Adapters that guards call loaded, and that answer to their names."""
        said = [await replica.get(self.session, TABLE_ROUTE) for replica in self.replicas]
        return sum(each["adapters"][name]["state"] == "Loaded" for each in said for name in each["aliases"].values())


@contextmanager
def process(
    target: Callable[..., None], *arguments: object, **named: object
) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process of this program, and the way to talk to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    started = context.Process(target=target, args=(*arguments, theirs), kwargs=named, daemon=True)
    started.start()
    try:
        yield started, ours
    finally:
        started.terminate()
        started.join()
