"""The step-time model on the event loop's clock: requests in, tokens out, metrics kept.

Times come from loop.time(), so tests run it on a virtual clock.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from .faults import Faults
from .metrics import EngineMetrics, FinishedRequest
from .openai import Generation
from .records import Sequence
from .steps import Outcome, Step, StepModel

_LATE: Final = 0.5
"""Seconds behind its timetable after which the engine gives up catching up (a frozen or starved process)."""


class State(Enum):
    """What the engine does with requests."""

    SERVING = "serving"
    DRAINING = "draining"
    """After SIGTERM with a timeout: those in flight go on, new ones are refused."""
    STOPPED = "stopped"
    """Those in flight get nothing any more."""
    DEAD = "dead"


class EngineDeadError(Exception):
    """The engine died under the request."""


class EngineDrainingError(Exception):
    """The engine takes no new request."""


@dataclass
class _InFlight:
    request: Generation
    sequence: Sequence
    arrived: float
    admitted: float | None = None
    first_token: float | None = None
    last_token: float = 0.0
    tokens: asyncio.Queue[int | EngineDeadError] = field(default_factory=asyncio.Queue)


class Engine:
    """Runs one StepModel; run() is its only task."""

    def __init__(self, model: StepModel, metrics: EngineMetrics, faults: Faults) -> None:
        self.model = model
        self.metrics = metrics
        self.faults = faults
        self.state = State.SERVING
        self._in_flight: dict[int, _InFlight] = {}
        self._next_key = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def unfinished(self) -> int:
        """Requests in flight."""
        return len(self._in_flight)

    @property
    def dead(self) -> bool:
        """Whether the engine died; /health is 503 then, and for no other reason."""
        return self.state is State.DEAD

    @property
    def prefill_backlog(self) -> int:
        """Prompt tokens of the requests that have no first token yet."""
        return sum(item.request.prompt_tokens for item in self._in_flight.values() if item.first_token is None)

    def set_faults(self, faults: Faults) -> None:
        """Take on new faults at once."""
        self.faults = faults
        self._wake.set()

    @contextmanager
    def generate(self, request: Generation) -> Iterator[AsyncIterator[int]]:
        """Queue a request; gives the numbers 1 to output_tokens, each when its token is ready.

        Leaving before the last token aborts the request. Raises EngineDrainingError or EngineDeadError, the latter also
        from the iterator.
        """
        key = self._admit(request)
        try:
            yield self._tokens(self._in_flight[key])
        finally:
            self._forget(key)

    def _admit(self, request: Generation) -> int:
        if self.state is State.DEAD:
            raise EngineDeadError
        if self.state is not State.SERVING:
            raise EngineDrainingError
        key = self._next_key
        self._next_key += 1
        sequence = self.model.add(key, request.prompt_tokens, request.output_tokens, request.hashes)
        self._in_flight[key] = _InFlight(request, sequence, asyncio.get_running_loop().time())
        self._idle.clear()
        self._wake.set()
        self._show_state()
        return key

    async def _tokens(self, item: _InFlight) -> AsyncIterator[int]:
        token = 0
        while token < item.request.output_tokens:
            taken = await item.tokens.get()
            if isinstance(taken, EngineDeadError):
                raise taken
            token = taken
            yield token

    async def run(self) -> None:
        """Step until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if self.faults.stall or not self.model.has_work:
                self._wake.clear()
                await self._wake.wait()
                due = loop.time()
                continue
            step = self.model.schedule()
            self._book_schedule(step, loop.time())
            # A timetable instead of plain sleeps: else every timer's lateness would slow the simulated accelerator.
            due += step.seconds * self.faults.slow_factor
            if due < loop.time() - _LATE:
                due = loop.time()
            await asyncio.sleep(due - loop.time())
            self._book_outcome(self.model.complete(), loop.time())

    async def drained(self) -> None:
        """Wait until nothing is in flight."""
        await self._idle.wait()

    def die(self) -> None:
        """Engine death: everything in flight fails, and so does every later request."""
        self.state = State.DEAD
        for item in self._in_flight.values():
            item.tokens.put_nowait(EngineDeadError())

    def _book_schedule(self, step: Step, now: float) -> None:
        for key in step.admitted:
            item = self._in_flight[key]
            if item.admitted is None:
                item.admitted = now
                self._book_prefix(item)
        self.metrics.count("num_preemptions", step.preempted)
        self._show_state()

    def _book_prefix(self, item: _InFlight) -> None:
        if self.model.model.prefix_blocks:
            self.metrics.count("prefix_cache_queries", item.request.prompt_tokens)
            self.metrics.count("prefix_cache_hits", item.sequence.cached)

    def _book_outcome(self, outcome: Outcome, now: float) -> None:
        for key in outcome.emitted:
            item = self._in_flight.get(key)
            if item is None:
                continue
            if item.first_token is None:
                item.first_token = now
                self.metrics.observe("time_to_first_token_seconds", now - item.arrived)
                self.metrics.count("prompt_tokens", item.request.prompt_tokens)
                self.metrics.count("prompt_tokens_cached", item.sequence.cached)
            else:
                self.metrics.token_gap(now - item.last_token)
            item.last_token = now
            item.tokens.put_nowait(item.sequence.generated)
        self.metrics.count("generation_tokens", len(outcome.emitted))
        self.metrics.observe("iteration_tokens_total", outcome.computed_tokens)
        for key in outcome.finished:
            self._book_finished(self._in_flight[key], now, self._in_flight[key].request.finish_reason)
        self._show_state()

    def _book_finished(self, item: _InFlight, now: float, reason: str) -> None:
        admitted = now if item.admitted is None else item.admitted
        first = now if item.first_token is None else item.first_token
        self.metrics.finished(
            FinishedRequest(
                prompt_tokens=item.request.prompt_tokens,
                generated=item.sequence.generated,
                max_tokens=item.request.max_tokens_param,
                finish_reason=reason,
                queued=admitted - item.arrived,
                prefill=first - admitted,
                decode=now - first,
                end_to_end=now - item.arrived,
                preemptions=item.sequence.preemptions,
            )
        )

    def _forget(self, key: int) -> None:
        item = self._in_flight.pop(key)
        if item.sequence.generated < item.request.output_tokens:
            self.model.remove(key)
            self._book_finished(item, asyncio.get_running_loop().time(), "abort")
        if not self._in_flight:
            self._idle.set()
        self._show_state()

    def _show_state(self) -> None:
        model = self.model
        self.metrics.state(running=model.state.running, waiting=model.state.waiting, kv_usage=model.kv_usage)
