"""Requests of adapters: how many run under each name in the engine, and holding them back for a load."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable


class Traffic:
    """Made while the event loop runs: up to Python 3.9 events belong to the loop that they are made in."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """`changed` is called when the last request of a name ends."""
        self._changed = changed
        self._running: Counter[str] = Counter()
        self._idle, self._released = asyncio.Event(), asyncio.Event()
        self._released.set()

    def running(self, name: str) -> int:
        """Requests under this name."""
        return self._running[name]

    async def enter(self, resolve: Callable[[], str | None]) -> str | None:
        """A request begins, under the name that `resolve` gives when it is not held back; None for no name."""
        while (name := resolve()) is not None:
            if self._released.is_set():
                self._running[name] += 1
                return name
            await self._released.wait()
        return None

    def leave(self, name: str) -> None:
        """A request is answered, or its client has left."""
        self._running[name] -= 1
        if self._running[name] == 0:
            del self._running[name]
            self._changed()
        if not self._running:
            self._idle.set()

    async def hold(self, seconds: float) -> bool:
        """Hold requests back until those that run have ended; False, and nothing held, after so many seconds."""
        self._released.clear()
        over = False

        def end() -> None:
            nonlocal over
            over = True
            self._idle.set()

        timer = asyncio.get_running_loop().call_later(seconds, end)
        try:
            while self._running and not over:
                self._idle.clear()
                await self._idle.wait()
        except asyncio.CancelledError:
            self.release()
            raise
        finally:
            timer.cancel()
        if self._running:
            self.release()
        return not self._running

    def release(self) -> None:
        """Requests go on."""
        self._released.set()
