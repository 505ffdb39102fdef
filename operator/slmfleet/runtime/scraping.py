"""The loop that reads the engines of every fleet that scales, look after look.

Each followed fleet has rounds of its own: every pod that is ready is read once, spread over a part of the round, and
then what came is one look. A page that comes later belongs to the next look; a pod that keeps failing is asked less
often, so that a thousand dead addresses do not hold up the living ones.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from random import Random
from typing import Final

from slmfleet.core.autoscale.advice import PodLoad
from slmfleet.core.autoscale.fleet import FleetLooks, Objectives, Reading
from slmfleet.core.autoscale.members import Member, carries_traffic, pending, serving
from slmfleet.core.autoscale.signals import Signals
from slmfleet.engine.container import PORT
from slmfleet.engine.metrics import MetricTable
from slmfleet.engine.page import PageReader
from slmfleet.engine.series import PageError
from slmfleet.engine.version import EngineVersion
from slmfleet.kube.backoff import backoff
from slmfleet.kube.resources import Key, Manifest
from slmfleet.metrics.registry import Metrics
from slmfleet.metrics.scrape import ScrapeError

from .log import about

NORMAL_SECONDS: Final = 2.0
FAST_SECONDS: Final = 1.0
"""When seconds matter, and no longer: vLLM takes 4 ms to write a page, and answers nobody meanwhile."""
PATIENCE: Final = 1.0
"""Seconds that a look waits for the last pod of its round."""
TICK: Final = 0.05
"""Seconds. Everything is asked at a multiple of this: answers that come together cost half as much as those that wake
the process one by one."""
AT_A_TIME: Final = 25
"""Pods of a fleet that are asked at one tick, unless the round would take more than half of its time."""
TRIES: Final = 3
"""Failures in a row from which on a pod is asked less often."""
LONGEST_PAUSE: Final = 8.0

logger = logging.getLogger(__name__)

Get = Callable[[str, int], Awaitable[bytes]]
"""Address and port to the page. Raises ScrapeError."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a look at a fleet needs to know of it."""

    release: EngineVersion
    pods: Sequence[Manifest]
    objectives: Objectives
    expiry: float
    """Seconds after which a pod that is not ready yet is not counted on."""
    period: float = NORMAL_SECONDS


@dataclass(frozen=True, slots=True)
class FleetLook:
    """One look, and what it says of single pods."""

    signals: Signals
    loads: Mapping[str, PodLoad]
    """By uid: of the pods that were read, those that are being emptied included."""
    hung: frozenset[str]
    """Uids of pods that have requests and whose engine stands still."""
    missing: Mapping[str, str]
    """By the name of a pod that gets traffic and was not read: why, for people."""


class Scraping:
    """Follows fleets: `watched` says what a fleet is (None: it is gone, or does not scale any more), `on_look` hears.

    Both are called from the loop's tasks and must not block. An error of theirs is logged, and the fleet looked at
    again.
    """

    def __init__(
        self,
        get: Get,
        watched: Callable[[Key], Watched | None],
        on_look: Callable[[Key, FleetLook], None],
        *,
        metrics: Metrics,
        rng: Random,
        wall: Callable[[], datetime],
    ) -> None:
        """`wall` tells the time of the cluster, for the age of pods; looks are on the loop's own clock."""
        self._get = get
        self._watched = watched
        self._on_look = on_look
        self._metrics = metrics
        self._rng = rng
        self._wall = wall
        self._fleets: dict[Key, _Fleet] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._wanted: set[Key] = set()
        self._group: asyncio.TaskGroup | None = None
        self._readers: dict[EngineVersion, PageReader] = {}
        metrics.gauge("engines_missing", "Ready engines that the last look could not read.", self._missing)
        metrics.gauge("engines_hung", "Engines with requests that stand still.", self._hung)

    def follow(self, key: Key) -> None:
        """Look at the fleet from now on, until it is gone; once more is the same as once."""
        self._wanted.add(key)
        if self._group is not None and key not in self._tasks:
            self._tasks[key] = self._group.create_task(self._follow(key), name=f"scraping {key[0]}/{key[1]}")

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for key in self._wanted:
                    self.follow(key)
                await asyncio.Event().wait()
        finally:
            self._group = None
            self._tasks.clear()

    def reader(self, release: EngineVersion) -> PageReader:
        """For the pages of a release; there are few of them in a cluster."""
        if release not in self._readers:
            self._readers[release] = PageReader(MetricTable.load().for_version(release))
        return self._readers[release]

    async def read(self, pod: "_Pod", release: EngineVersion) -> None:
        """Ask one pod for its page, and keep what came of it."""
        began = _now()
        try:
            if not pod.address:
                raise ScrapeError("address", "its status tells no address")
            page = self.reader(release).read(await self._get(pod.address, PORT))
        except (ScrapeError, PageError) as error:
            self._metrics.scrape_failures.labels(error.reason).inc()
            pod.failed(str(error), self._rng)
        else:
            self._metrics.scrape_seconds.observe(_now() - began)
            pod.answered(Reading(_now(), page))

    async def _follow(self, key: Key) -> None:
        self._fleets[key] = fleet = _Fleet(self, self._rng)
        period = NORMAL_SECONDS
        try:
            # Fleets that were found together part here.
            await asyncio.sleep(_until_tick(_now() + period * self._rng.random()))
            while True:
                began = _now()
                try:
                    if (watched := self._watched(key)) is None:
                        return
                    period = watched.period
                    self._on_look(key, await fleet.look(watched, self._wall))
                except Exception:  # one fleet's trouble is not the others'
                    logger.exception("a look at the fleet failed", extra=about(key))
                await asyncio.sleep(_until_tick(began + period * (0.95 + 0.1 * self._rng.random())))
        finally:
            fleet.leave()
            self._wanted.discard(key)
            for known in (self._fleets, self._tasks):
                known.pop(key, None)

    def _missing(self) -> float:
        return sum(len(fleet.last.missing) for fleet in self._fleets.values() if fleet.last is not None)

    def _hung(self) -> float:
        return sum(len(fleet.last.hung) for fleet in self._fleets.values() if fleet.last is not None)


class _Pod:
    """What is known of the scrapes of one pod."""

    def __init__(self, member: Member) -> None:
        self.name = member.name
        self.address = member.address
        self.task: asyncio.Task[None] | None = None
        self.reading: Reading | None = None
        """Since the last look."""
        self.trouble = "not asked yet"
        """Why there is none."""
        self._failures = 0
        self._not_before = 0.0

    def due(self) -> bool:
        """Whether it is to be asked in this round."""
        return self.task is None and _now() >= self._not_before

    def taken(self) -> Reading | None:
        """What came since the last look, once."""
        reading, self.reading = self.reading, None
        return reading

    def answered(self, reading: Reading) -> None:
        """There is a page."""
        if self._failures > TRIES:
            logger.info("pod %s can be read again", self.name)
        self.reading, self._failures, self._not_before, self.trouble = reading, 0, 0.0, "no answer yet"

    def failed(self, trouble: str, rng: Random) -> None:
        """There is none."""
        self._failures += 1
        self.trouble = trouble
        if self._failures > TRIES:
            self._not_before = _now() + backoff(self._failures - TRIES, rng, base=1.0, limit=LONGEST_PAUSE)
        if self._failures == TRIES + 1:
            logger.warning("pod %s cannot be read: %s", self.name, trouble)


class _Fleet:
    """One fleet's pods and looks."""

    def __init__(self, scraping: Scraping, rng: Random) -> None:
        self.last: FleetLook | None = None
        self._scraping = scraping
        self._rng = rng
        self._pods: dict[str, _Pod] = {}
        self._looks: FleetLooks[str] = FleetLooks()

    async def look(self, watched: Watched, wall: Callable[[], datetime]) -> FleetLook:
        """One round. Raises what a scrape did not expect."""
        members = {member.uid: member for member in serving(watched.pods)}
        self._keep(members)
        await self._ask(watched)
        traffic = {pod["metadata"]["uid"] for pod in watched.pods if carries_traffic(pod)}
        pages = {uid: self._pods[uid].taken() for uid in members}
        signals = self._looks.look(
            _now(),
            {uid: page for uid, page in pages.items() if uid in traffic},
            len(pending(watched.pods, wall(), watched.expiry)),
            watched.objectives,
            {uid: page for uid, page in pages.items() if uid not in traffic},
        )
        missing = {
            self._pods[uid].name: self._pods[uid].trouble
            for uid, page in pages.items()
            if page is None and uid in traffic
        }
        self.last = FleetLook(signals, self._looks.loads, frozenset(self._looks.hung), missing)
        return self.last

    def leave(self) -> None:
        """End what runs."""
        self._keep({})

    def _keep(self, members: Mapping[str, Member]) -> None:
        for uid in self._pods.keys() - members.keys():
            if (task := self._pods.pop(uid).task) is not None:
                task.cancel()
        for uid, member in members.items():
            self._pods.setdefault(uid, _Pod(member)).address = member.address

    async def _ask(self, watched: Watched) -> None:
        """Ask everybody who is due, and wait for their answers, but not for ever, nor for those of earlier rounds."""
        self._settle()
        due = [pod for pod in self._pods.values() if pod.due()]
        self._rng.shuffle(due)
        number = max(AT_A_TIME, ceil(len(due) * TICK / (watched.period / 2)))
        tasks = []
        for place in range(0, len(due), number):
            if place:
                await asyncio.sleep(_until_tick(_now() + TICK / 2))
            for pod in due[place : place + number]:
                pod.task = asyncio.create_task(self._scraping.read(pod, watched.release))
                tasks.append(pod.task)
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)
            self._settle()

    def _settle(self) -> None:
        for pod in self._pods.values():
            if (task := pod.task) is not None and task.done():
                pod.task = None
                task.result()


def _until_tick(time: float) -> float:
    """Seconds from now to the first tick that is not before `time`."""
    now = _now()
    return ceil(max(time, now) / TICK) * TICK - now


def _now() -> float:
    return asyncio.get_running_loop().time()
