"""The work queue: which fleets to look at, each at most once at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from .backoff import backoff
from .resources import Key

_RETRY_BASE: Final = 0.5
_RETRY_LIMIT: Final = 300.0
# A key that keeps failing may itself cause the news that wakes it: it runs at most once in this many seconds.
_FAILING_PAUSE: Final = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """How a piece of work ended, and when its key is due again."""

    after: float | None = None
    """Seconds until the key is due even without news (None: never); after a failure, the least delay."""
    failed: bool = False
    """Try again after a delay that doubles with every failure in a row."""
    pause: float = 0.0
    """Seconds for which the server wants to be left alone: not even news shortens them."""


Handler = Callable[[Key], Awaitable[Result]]


class WorkQueue:
    """Keys in the order in which they became due; used from one event loop.

    A key that is added while it waits is not added twice; one that is added while it is worked on runs once more
    afterwards. The start of a run clears the key's timer, since its end sets the next one.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._ready: dict[Key, float] = {}
        self._due = asyncio.Semaphore(0)
        self._active: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._not_before: dict[Key, float] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def depth(self) -> int:
        """Keys that are due and wait for a worker."""
        return len(self._ready)

    def oldest_wait(self) -> float:
        """Seconds for which the oldest due key has waited."""
        return _now() - next(iter(self._ready.values())) if self._ready else 0.0

    def longest_run(self) -> float:
        """Seconds for which the slowest worker has been at its key."""
        return _now() - min(self._active.values()) if self._active else 0.0

    def add(self, key: Key) -> None:
        """There is news about the key: it is due now, or in a second while it keeps failing, or after its pause."""
        if key in self._active:
            self._again.add(key)
        elif self._failures.get(key):
            self.add_after(key, _FAILING_PAUSE)
        else:
            self._make_ready(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """The key is due in `seconds`, or earlier if it was to be due earlier, but not within its pause."""
        timer = self._timers.get(key)
        due = max(_now() + seconds, self._not_before.get(key, 0.0))
        if timer is not None and timer.when() <= due:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_at(due, self._ring, key)

    def forget(self, key: Key) -> None:
        """Free the memory of a key that is gone; it can be added again."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        self._clear_timer(key)

    async def run(self, handler: Handler, workers: int) -> None:
        """Work on the keys with `workers` tasks until `stop`; an exception of the handler is a failure of its key."""
        self._workers = [asyncio.create_task(self._work(handler), name=f"worker {n}") for n in range(workers)]
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def stop(self, grace: float) -> bool:
        """Start no more work, give the running one `grace` seconds, then cancel it. Whether all of it ended."""
        self._stopping = True
        for key in list(self._timers):
            self._clear_timer(key)
        for _ in self._workers:
            self._due.release()
        if not self._workers:
            return True
        _, late = await asyncio.wait(self._workers, timeout=grace)
        for worker in late:
            worker.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return not late

    async def _work(self, handler: Handler) -> None:
        while True:
            await self._due.acquire()
            if self._stopping:
                return
            key = next(iter(self._ready))
            del self._ready[key]
            self._clear_timer(key)
            self._active[key] = _now()
            try:
                result = await handler(key)
            except Exception:  # a bug that one object brings out must not end the worker that all others need
                logger.exception("work failed", extra={"object": {"namespace": key[0], "name": key[1]}})
                result = Result(failed=True)
            finally:
                del self._active[key]
            self._settle(key, result)

    def _settle(self, key: Key, result: Result) -> None:
        if result.failed:
            tries = self._failures.get(key, 0)
            self._failures[key] = tries + 1
            delay = backoff(tries, self._rng, base=_RETRY_BASE, limit=_RETRY_LIMIT)
            self._not_before[key] = _now() + result.pause
            self.add_after(key, max(delay, result.after or 0.0))
        else:
            self._failures.pop(key, None)
            self._not_before.pop(key, None)
            if result.after is not None:
                self.add_after(key, result.after)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _ring(self, key: Key) -> None:
        self._timers.pop(key, None)
        if key in self._active:
            self._again.add(key)
        else:
            self._make_ready(key)

    def _make_ready(self, key: Key) -> None:
        if key not in self._ready and not self._stopping:
            self._ready[key] = _now()
            self._due.release()

    def _clear_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()


def _now() -> float:
    return asyncio.get_running_loop().time()
