"""Everything that works on the fleets of one cluster, wired together; what is started when, and how it ends."""

import asyncio
import logging
import os
import random
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime
from math import inf
from typing import Final

import kopf

from slmfleet import __version__
from slmfleet.core import names
from slmfleet.core.autoscale.scaler import Scaler
from slmfleet.core.types import Config
from slmfleet.engine import guard
from slmfleet.engine.page import MAX_BYTES
from slmfleet.kube.apply import Applier
from slmfleet.kube.backoff import backoff
from slmfleet.kube.cache import Cache, Selection
from slmfleet.kube.client import Client
from slmfleet.kube.errors import KubeError, TransientError
from slmfleet.kube.events import Recorder
from slmfleet.kube.job_progress import ProgressOfJobs
from slmfleet.kube.keys import own_key
from slmfleet.kube.last_words import LastWordsOfJobs
from slmfleet.kube.lease import Lease
from slmfleet.kube.logs import Logs
from slmfleet.kube.queue import WorkQueue
from slmfleet.kube.resources import CHILDREN, Key, name_of, uid_of
from slmfleet.kube.status import StatusWriter
from slmfleet.kube.store import Change
from slmfleet.metrics.adapters import AdapterMetrics
from slmfleet.metrics.registry import Metrics
from slmfleet.metrics.scrape import Scraper

from . import handlers
from .adapters import Adapters
from .cold_starts import ColdStarts
from .exports import export
from .guards import Guards, Http
from .health import queue_troubles, reading_troubles, watch_troubles
from .inquiries import Inquiries
from .objects import Objects, key_of
from .reconciler import Access, Planner, Reconciler
from .scaling import Scaling, World
from .scraping import Scraping
from .settings import Settings

GRACE: Final = 20.0
"""Seconds that running reconciles get to finish; the pod's terminationGracePeriodSeconds must be longer."""

READING: Final = "reading the cluster"
LEADING: Final = "leading"
KEY_SECONDS: Final = 30.0
SCRAPE_SECONDS: Final = 5.0
"""For one engine; a page that takes longer than a look waits belongs to the next one."""
SCRAPES: Final = 256
"""At the same time."""
KOPF_LISTS: Final = 10.0
"""Seconds after its start in which kopf has listed our kinds, unless the API server is slow."""

logger = logging.getLogger(__name__)


class EndedError(Exception):
    """A part of the operator that should run for ever has ended."""


class Operator:
    """One replica of the operator."""

    def __init__(self, settings: Settings, client: Client, metrics: Metrics, plan: Planner) -> None:
        rng = random.SystemRandom()
        self._settings = settings
        self._rng = rng
        # The suffix makes a restarted container another candidate than the one that it replaces.
        identity = f"{settings.pod_name}_{os.getpid()}_{rng.getrandbits(32):08x}"
        self._lease = Lease(client, settings.pod_namespace, settings.lease_name, identity, rng)
        self._queue = WorkQueue(rng)
        selection = Selection(f"{names.MANAGED_BY}={names.MANAGER}", names.DEPLOYMENT, settings.namespaces)
        self._cache = Cache(
            client, CHILDREN, selection, on_change=self._queue.add, rng=rng, sweep=settings.sweep_seconds
        )
        self._objects = Objects(
            client, settings.namespaces, on_change=self._changed, on_adapter=self._adapter_changed, rng=rng
        )
        self._http = Http()
        self._guards = Guards(self._queue.add, self._http.send)
        self._adapters = Adapters(self._queue.add, self._http.ask, AdapterMetrics(metrics.registry))
        self._cold_starts = ColdStarts()
        self.scaling = Scaling(
            World(self._objects, self._cache, self._cold_starts, wall_clock),
            Scaler,
            settle=settings.settle_seconds,
            enqueue=self._queue.add,
            failed=metrics.scaling_failed,
        )
        self._access = self._ways(client)
        self._client = client
        self._plan = plan
        self._metrics = metrics
        self.kopf_started = asyncio.Event()
        self._state = "starting"
        self._reading_since = 0.0
        self._unwatched: frozenset[str] = frozenset()
        self._stopping = False
        export(
            metrics,
            leading=lambda: self._state == LEADING,
            queue=self._queue,
            objects=self._objects,
            cache=self._cache,
            decisions=self.scaling.decisions,
        )

    def state(self) -> str:
        """What this replica does, in a word or two."""
        return self._state

    def troubles(self) -> Iterable[str]:
        """Reasons for which a restart would help."""
        if self._state == READING:
            yield from reading_troubles(self._cache, asyncio.get_running_loop().time() - self._reading_since)
        if self._state == LEADING:
            yield from queue_troubles(self._queue)
            yield from watch_troubles(self._cache)

    async def work(self) -> None:
        """Wait for the lease, then reconcile until cancelled. Raises when a part ends that should not."""
        if self._settings.leader_election:
            self._state = "standing by"
            await self._lease.acquire()
        async with asyncio.TaskGroup() as group:
            if self._settings.leader_election:
                group.create_task(self._lease.hold())
            self._state = "reading its key"
            reconciler = self._reconciler(await self._key())
            group.create_task(self._cache.run())
            self._reading_since = asyncio.get_running_loop().time()
            self._state = READING
            await self._cache.synced()
            await self._objects.load()
            group.create_task(self._sweep_for_ever())
            group.create_task(self._endless("the workers", self._queue.run(reconciler, self._settings.workers)))
            group.create_task(self._endless("kopf", self._watch_our_kinds()))
            group.create_task(self._endless("the scaling loop", self._scale()))
            self._state = LEADING
            logger.info("%d SLMDeployments found", len(self._objects.slms))

    async def stop(self, work: "asyncio.Task[None]") -> None:
        """End `work` in order: no new reconciles, the running ones finish, the lease is given back."""
        self._stopping = True
        self._state = "stopping"
        if not await self._queue.stop(GRACE):
            logger.warning("running reconciles were cut off after %.0f s", GRACE)
        work.cancel()
        await self._guards.close()
        await self._adapters.close()
        await self._http.close()
        await self._lease.release()
        await asyncio.wait([work], timeout=5.0)

    async def _scale(self) -> None:
        """Read the engines and decide, for ever."""
        async with (
            Scraper(seconds=SCRAPE_SECONDS, limit=SCRAPES, max_bytes=MAX_BYTES) as scraper,
            asyncio.TaskGroup() as group,
        ):
            scraping = Scraping(
                scraper.get,
                self.scaling.watched,
                self.scaling.on_look,
                metrics=self._metrics,
                rng=self._rng,
                wall=wall_clock,
            )
            group.create_task(scraping.run())
            group.create_task(self.scaling.run(scraping.follow))

    async def _key(self) -> bytes:
        """The key of the guards' tokens, however long it takes. Raises RefusedError where waiting does not help."""
        settings, tries = self._settings, 0
        while True:
            try:
                within = min(self._fence(), KEY_SECONDS)
                return await own_key(self._client, settings.pod_namespace, settings.guard_key, within=within)
            except TransientError as error:
                logger.warning("the guards' key cannot be read: %s", error)
            await asyncio.sleep(backoff(tries, self._rng, base=1.0, limit=30.0))
            tries += 1

    def _ways(self, client: Client) -> Access:
        return Access(
            client=client,
            cache=self._cache,
            applier=Applier(client, self._fence),
            status=StatusWriter(client, self._fence),
            recorder=Recorder(client, self._fence, self._settings.pod_name, wall_clock),
            inquiries=Inquiries(client, Logs(client), LastWordsOfJobs(client), ProgressOfJobs(client)),
            guards=self._guards,
            adapters=self._adapters,
            advice=self.scaling.advice,
        )

    def _reconciler(self, key: bytes) -> Reconciler:
        config = Config(
            renderer=__version__,
            images=self._settings.images,
            guard=guard.sources(),
            key=key,
            fetcher=self._settings.fetcher_image,
            peers=self._settings.peers,
        )
        return Reconciler(self._plan, config, self._access, self._objects, self._metrics, wall_clock, self._cold_starts)

    def _fence(self) -> float:
        return self._lease.assert_held() if self._settings.leader_election else inf

    async def _watch_our_kinds(self) -> None:
        """Ends when a namespace is lost: then the process is restarted, and watches what can be read by then."""
        self._unwatched = frozenset(self._objects.unreadable)
        namespaces = tuple(name for name in self._settings.namespaces if name not in self._unwatched)
        if self._unwatched and not namespaces:
            self.kopf_started.set()
            await asyncio.Event().wait()  # a sweep ends it
        await kopf.operator(
            registry=handlers.registry_of(self._objects),
            settings=handlers.settings(),
            standalone=True,
            clusterwide=not self._settings.namespaces,
            namespaces=namespaces,
            ready_flag=self.kopf_started,
        )

    async def _endless(self, name: str, part: Coroutine[None, None, None]) -> None:
        await part
        if not self._stopping:
            raise EndedError(f"{name} ended")

    async def _sweep_for_ever(self) -> None:
        """Find lost deletions, and look at every fleet again once in a while, spread over half the time in between.

        The first sweep finds what was deleted between our list and kopf's, of which kopf knows nothing.
        """
        seconds = self._settings.sweep_seconds
        await self.kopf_started.wait()
        await asyncio.sleep(KOPF_LISTS)
        await self._sweep()
        while True:
            await asyncio.sleep(seconds * (0.9 + 0.2 * self._rng.random()))
            await self._sweep()
            for slm in self._objects.slms:
                self._queue.add_after(name_of(slm), self._rng.random() * seconds / 2)

    async def _sweep(self) -> None:
        try:
            await self._objects.sweep()
        except KubeError as error:
            logger.warning("sweep put off: %s", error)
        if back := self._unwatched - self._objects.unreadable:
            raise EndedError(f"namespace {', '.join(sorted(back))} can be read again, and kopf takes no other one")

    def _changed(self, change: Change) -> None:
        key = key_of(change)
        if change.after is not None:
            self._queue.add(key)
            return
        self._queue.forget(key)
        self._access.applier.forget(key)
        self._cold_starts.forget(key)
        self._adapters.forget(key)
        self._access.status.forget(uid_of(change.before or {}))
        if self._objects.adapters_of(key):
            self._queue.add(key)

    def _adapter_changed(self, key: Key, change: Change) -> None:
        self._queue.add(key)
        if change.after is None:
            self._access.status.forget(uid_of(change.before or {}))


def wall_clock() -> datetime:
    """The time that people read: in status, events and the log."""
    return datetime.now(UTC)
