"""Pods come, go and fail: what happens rarely, and therefore runs uncompiled on the compiled functions' arrays."""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import pods, router
from .faults import CrashLoop, Hang, Quota, ScrapeOutage, SlowStart
from .settings import Settings
from .setup import Parts
from .state import BOOTING, DRAINING, PENDING, READY, Arrays

_P90: Final = 1.2815515655446004
"""Standard deviations from a normal distribution's median to its 90th percentile."""

Happening = tuple[float, Callable[[], None]]


class Lifecycle:
    """A fleet's pods and what becomes of them. `now` is the second up to which the fleet has run."""

    def __init__(self, parts: Parts, settings: Settings, seed: int) -> None:
        self.parts = parts
        self.created = 0
        """Pods, ever."""
        self._settings, self._seed = settings, seed
        self._phases: NDArray[np.int64] = parts.column("pods", "phase")
        self._crashing = {fault: 0 for fault in settings.faults if isinstance(fault, CrashLoop)}
        self._hung: dict[Hang, int] = {}
        for _ in range(settings.replicas):
            self._create(0.0, 0.0, 0.0)

    @property
    def arrays(self) -> Arrays:
        """For Python."""
        return self.parts.arrays

    def count(self, *phases: int) -> int:
        """Pods in these phases."""
        counts = np.bincount(self._phases, minlength=DRAINING + 1)
        return int(sum(counts[phase] for phase in phases))

    def grow(self, count: int, now: float) -> None:
        """So many pods more."""
        if self._settings.put_back:
            for place in self._places(DRAINING)[:count]:
                pods.put_back(self.arrays, place)
                count -= 1
        for _ in range(count):
            self._create(now, *self._start(now))
        router.bind(self.arrays, now, -1)

    def shrink(self, count: int, now: float) -> None:
        """So many pods fewer: those that have no GPU yet, then those that boot, then those with the fewest requests."""
        records = self.arrays.pods
        leaving = [
            *sorted(self._places(PENDING), key=lambda place: -records[place].number),
            *sorted(self._places(BOOTING), key=lambda place: -records[place].number),
            *sorted(self._places(READY), key=lambda place: (records[place].bound, -records[place].number)),
        ]
        for place in leaving[:count]:
            (pods.drain if records[place].phase == READY else pods.leave)(self.arrays, place, now)

    def timeline(self) -> list[Happening]:
        """When the faults begin and end, and what happens then."""
        happenings: list[Happening] = []
        for fault in self._settings.faults:
            match fault:
                case ScrapeOutage(start, end, share):
                    happenings += [
                        (start, self._setter("hidden_share", share)),
                        (end, self._setter("hidden_share", 0.0)),
                    ]
                case Quota(start, end, limit):
                    happenings += [(start, self._quota(start, limit)), (end, self._quota(end, self._settings.quota))]
                case Hang(start, end):
                    happenings += [(start, self._hang(fault)), (end, self._replace(fault))]
                case _:
                    pass  # asked for when a pod is created
        return sorted(happenings, key=lambda happening: happening[0])

    def _places(self, phase: int) -> list[int]:
        return [int(place) for place in np.flatnonzero(self._phases == phase)]

    def _create(self, now: float, start_seconds: float, crash_until: float) -> None:
        if self.created == len(self.arrays.lives):
            lives = np.concatenate([self.arrays.lives, np.full_like(self.arrays.lives, np.inf)])
            compiled = tuple(lives if array is self.arrays.lives else array for array in self.parts.compiled)
            self.parts = Parts(self.arrays._replace(lives=lives), compiled)
        place = int(np.argmin(self._phases))  # gone is the least
        pods.create(self.arrays, place, self.created, start_seconds, crash_until)
        self.created += 1
        if self.arrays.state.pending == 1 and self.arrays.state.gpus < self.arrays.state.quota:
            pods.start(self.arrays, place, now)

    def _start(self, now: float) -> tuple[float, float]:
        """How long the next pod's start takes, and until when its starts crash."""
        settings = self._settings
        spread = math.log(settings.start_p90 / settings.start_p50) / _P90
        draw = np.random.default_rng([self._seed, 2, self.created]).standard_normal()
        seconds = settings.start_p50 * math.exp(spread * draw)
        crash_until = 0.0
        for fault in settings.faults:
            if isinstance(fault, SlowStart) and fault.start <= now < fault.end:
                seconds *= fault.factor
            if isinstance(fault, CrashLoop) and fault.start <= now < fault.end and self._crashing[fault] < fault.pods:
                self._crashing[fault] += 1
                crash_until = max(crash_until, fault.end)
        return seconds, crash_until

    def _setter(self, name: str, value: Any) -> Callable[[], None]:  # noqa: ANN401 - a field's value
        return lambda: setattr(self.arrays.state, name, value)

    def _quota(self, at: float, limit: int) -> Callable[[], None]:
        def change() -> None:
            self.arrays.state.quota = min(limit, self._settings.quota)
            pods.grant(self.arrays, at)

        return change

    def _hang(self, fault: Hang) -> Callable[[], None]:
        def stop() -> None:
            ready = self._places(READY)
            if ready:
                place = max(ready, key=lambda place: (self.arrays.engines[place].running, -place))
                self._hung[fault] = int(self.arrays.pods[place].number)
                pods.hang(self.arrays, place, fault.start)

        return stop

    def _replace(self, fault: Hang) -> Callable[[], None]:
        def replace() -> None:
            for place in [*self._places(READY), *self._places(DRAINING)]:
                if self.arrays.pods[place].number == self._hung.get(fault):
                    wanted = self.arrays.pods[place].phase == READY
                    pods.leave(self.arrays, place, fault.end)
                    if wanted:
                        self.grow(1, fault.end)

        return replace
