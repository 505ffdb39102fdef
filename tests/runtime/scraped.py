"""Fleets whose engines the scraping loop reads on virtual time, with a transport that answers what the test says."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from slmfleet.core.autoscale.fleet import Objectives
from slmfleet.engine.version import EngineVersion
from slmfleet.kube.resources import Key, Manifest
from slmfleet.metrics.registry import Metrics
from slmfleet.metrics.scrape import ScrapeError
from slmfleet.runtime.scraping import FleetLook, Scraping, Watched
from tests.core.autoscale.pods import NOW, started
from tests.engine.pages import page

KEY = ("chat", "support")
RELEASE = EngineVersion.parse("0.32.0")


def busy(running: float = 1, **values: float) -> bytes:
    return page({"num_requests_running": running, **values})


IDLE = busy(0)


def engine(name: str, place: int = 1, **changes: Any) -> Manifest:
    return started(name, address=f"10.0.0.{place}", **changes)


class World:
    """One fleet unless the test adds more; pods by address answer with pages, errors, or never (None)."""

    def __init__(self, *pods: Manifest, period: float = 2.0, **answers: bytes | Exception | None) -> None:
        self.fleets: dict[Key, tuple[Manifest, ...]] = {KEY: pods}
        self.answers: dict[str, bytes | Exception | None] = {f"10.0.0.{name[1:]}": it for name, it in answers.items()}
        self.period = period
        self.looks: list[tuple[float, Key, FleetLook]] = []
        self.asked: Counter[str] = Counter()
        self.metrics = Metrics("test")
        self.error: Exception | None = None
        self.scraping = Scraping(
            self.get, self.watched, self.on_look, metrics=self.metrics, rng=Random(1), wall=lambda: NOW
        )

    async def get(self, address: str, port: int) -> bytes:
        assert port == 8000
        self.asked[address] += 1
        answer = self.answers[address]
        if answer is None:
            await asyncio.sleep(5.0)
            raise ScrapeError("timeout", "no page within 5 s")
        await asyncio.sleep(0.01)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def watched(self, key: Key) -> Watched | None:
        if self.error is not None:
            raise self.error
        if key not in self.fleets:
            return None
        return Watched(RELEASE, self.fleets[key], Objectives(1.0, 0.1), 300.0, self.period)

    def on_look(self, key: Key, look: FleetLook) -> None:
        self.looks.append((asyncio.get_running_loop().time(), key, look))

    @property
    def last(self) -> FleetLook:
        return self.looks[-1][2]

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"slmfleet_{name}", labels)

    @asynccontextmanager
    async def running(self, *keys: Key) -> AsyncIterator[None]:
        task = asyncio.create_task(self.scraping.run())
        await asyncio.sleep(0)
        for key in keys or (KEY,):
            self.scraping.follow(key)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert len(asyncio.all_tasks()) == 1, "something runs on"
