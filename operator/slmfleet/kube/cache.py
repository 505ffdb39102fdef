"""The children of every fleet, kept by list and watch."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Final

from .backoff import backoff
from .client import Client
from .errors import ExpiredError, KubeError, NotFoundError, RefusedError, TransientError
from .resources import Key, Manifest, Resource, name_of
from .store import Change, Store

# The server ends a watch after this time; a fresh one also lets a rebalanced API server take over.
_WATCH_SECONDS: Final = 290
_RETRY_BASE: Final = 0.5
_RETRY_LIMIT: Final = 30.0
_HEALTHY: Final = 5.0

logger = logging.getLogger(__name__)


class Watcher:
    """One resource in one namespace (None: in all), as it is right now but for the watch's delay.

    Three things keep it true: the watch, a new list when the watch cannot be resumed, and a list every `sweep` seconds,
    which finds what a watch has lost.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str | None,
        *,
        labels: str,
        on_change: Callable[[Change], None],
        rng: Random,
        sweep: float,
    ) -> None:
        """`on_change` hears of every change, `sweep` is in seconds."""
        self.resource = resource
        self.namespace = namespace
        self.store = Store()
        self.synced = asyncio.Event()
        self.trouble = ""
        """Why it is not up to date, for people; "" while it is."""
        self._client = client
        self._labels = labels
        self._on_change = on_change
        self.restarts: Counter[str] = Counter()
        """How often a watch ended badly, by reason: expired, error."""
        self._rng = rng
        self._sweep = sweep
        self._since = ""
        self._contact = 0.0

    def silent(self) -> float:
        """Seconds since the API server last said anything about this resource."""
        return asyncio.get_running_loop().time() - self._contact

    async def run(self) -> None:
        """List and watch for ever; never raises anything but CancelledError."""
        self._heard()
        async with _background(self._sweep_for_ever()):
            tries = 0
            while True:
                began = asyncio.get_running_loop().time()
                try:
                    await self._follow()
                    tries = 0  # the server ended the watch in time, as asked
                    continue
                except ExpiredError as error:
                    self._since, reason, text = "", "expired", str(error)
                except KubeError as error:
                    reason, text = "error", str(error)
                    if self.namespace is not None and isinstance(error, (NotFoundError, RefusedError)):
                        # The namespace or our rights in it are gone: the other namespaces must not wait for this one.
                        self.synced.set()
                self._failed(reason, text)
                if asyncio.get_running_loop().time() - began > _HEALTHY:
                    tries = 0
                await asyncio.sleep(backoff(tries, self._rng, base=_RETRY_BASE, limit=_RETRY_LIMIT))
                tries += 1

    def put(self, obj: Manifest) -> None:
        """Take in what the API server answered to a write of ours, ahead of the watch."""
        self._tell([self.store.put(obj)])

    def drop(self, obj: Manifest) -> None:
        """Take in that an object proved to be gone for good, ahead of the watch."""
        self._tell([self.store.remove(obj, inf)])

    async def _follow(self) -> None:
        """One watch, after a list when there is nothing to resume from."""
        if not self._since:
            await self._relist()
        seconds = int(_WATCH_SECONDS * (0.9 + 0.2 * self._rng.random()))
        events = self._client.watch(
            self.resource, self.namespace, labels=self._labels, since=self._since, seconds=seconds
        )
        async for kind, obj in events:
            self._heard()
            self._since = obj["metadata"]["resourceVersion"]
            if kind == "DELETED":
                self._tell([self.store.remove(obj)])
            elif kind != "BOOKMARK":
                self._tell([self.store.put(obj)])

    async def _relist(self) -> None:
        objects, version = await self._client.list(self.resource, self.namespace, labels=self._labels)
        self._heard()
        self._tell(self.store.replace(objects, int(version)))
        if not self._since:
            self._since = version
        self.synced.set()

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._sweep * (0.9 + 0.2 * self._rng.random()))
            try:
                await self._relist()
            except (ExpiredError, TransientError) as error:
                logger.info("sweep of %s put off: %s", self.resource.plural, error)
            except KubeError as error:
                self._failed("error", str(error))

    def _heard(self) -> None:
        self._contact = asyncio.get_running_loop().time()
        self.trouble = ""

    def _failed(self, reason: str, text: str) -> None:
        if text != self.trouble:  # once per cause: an API server that is away for an hour needs no thousand lines
            logger.warning("watch of %s restarts: %s", self.resource.plural, text)
        self.trouble = text
        self.restarts[reason] += 1

    def _tell(self, changes: Iterable[Change | None]) -> None:
        for change in changes:
            if change is not None:
                self._on_change(change)


@dataclass(frozen=True)
class Selection:
    """Which objects are watched, and whose they are."""

    labels: str
    """Label selector."""
    key_label: str
    """The label whose value, with the namespace, is the key of the fleet."""
    namespaces: tuple[str, ...] = ()
    """Empty: all."""


class Cache:
    """The children of all fleets, found by the label that names their fleet."""

    def __init__(
        self,
        client: Client,
        resources: Iterable[Resource],
        selection: Selection,
        *,
        on_change: Callable[[Key], None],
        rng: Random,
        sweep: float,
    ) -> None:
        """`on_change` hears the key of every fleet of which a child changed, `sweep` is in seconds."""
        self._key_label = selection.key_label
        self._on_change = on_change
        self._index: dict[Key, dict[tuple[str, str], Manifest]] = {}
        self.watchers = [
            Watcher(
                client,
                resource,
                namespace,
                labels=selection.labels,
                on_change=self._changed,
                rng=rng,
                sweep=sweep,
            )
            for resource in resources
            for namespace in selection.namespaces or (None,)
        ]

    async def run(self) -> None:
        """Watch everything until cancelled."""
        async with asyncio.TaskGroup() as group:
            for watcher in self.watchers:
                group.create_task(watcher.run(), name=f"watch {watcher.resource.plural}")

    async def synced(self) -> None:
        """Returns once everything was listed, but for namespaces that are not ours to read."""
        for watcher in self.watchers:
            await watcher.synced.wait()

    def children(self, key: Key) -> list[Manifest]:
        """Everything that carries the label of the fleet `key`."""
        return list(self._index.get(key, {}).values())

    def put(self, obj: Manifest) -> None:
        """Take in the API server's answer to a write, ahead of the watch."""
        for watcher in self._watchers_of(obj):
            watcher.put(obj)

    def drop(self, obj: Manifest) -> None:
        """Take in that an object proved to be gone for good, ahead of the watch."""
        for watcher in self._watchers_of(obj):
            watcher.drop(obj)

    def _watchers_of(self, obj: Manifest) -> list[Watcher]:
        kind, namespace = (obj["apiVersion"], obj["kind"]), obj["metadata"].get("namespace")
        return [
            w
            for w in self.watchers
            if (w.resource.api_version, w.resource.kind) == kind and w.namespace in (None, namespace)
        ]

    def _changed(self, change: Change) -> None:
        """Move an object to its fleet's place; a relabelled one concerns both fleets."""
        before, after = self._key(change.before), self._key(change.after)
        if change.before is not None and before is not None:
            place = self._index.get(before, {})
            place.pop((change.before["kind"], name_of(change.before)[1]), None)
            if not place:
                self._index.pop(before, None)
        if change.after is not None and after is not None:
            self._index.setdefault(after, {})[change.after["kind"], name_of(change.after)[1]] = change.after
        for key in {before, after}:
            if key is not None:
                self._on_change(key)

    def _key(self, obj: Manifest | None) -> Key | None:
        if obj is None:
            return None
        name = (obj["metadata"].get("labels") or {}).get(self._key_label)
        return (name_of(obj)[0], name) if name else None


@asynccontextmanager
async def _background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run a coroutine for as long as the body runs."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
