"""How much of the work that the model promises a replica really does: learned while the fleet is saturated."""

from slmfleet.core.autoscale.history import Totals
from slmfleet.core.autoscale.settings import Settings
from slmfleet.core.autoscale.signals import Signals
from slmfleet.core.autoscale.work import Field, coverage

LOWEST, HIGHEST = 0.4, 2.0
"""Bounds: beyond them the measurement is broken, not the model."""
WINDOW = 20
"""Seconds over which served work is taken, and that the number of replicas must have stood still."""
SATURATED_WAIT = 0.2
IDLE_WAIT = 0.05
"""Shares of the TTFT objective: replicas whose queue is longer are saturated, those whose queue is shorter are not."""
SATURATED_FOR = 10
"""Seconds that the queue has to be that long."""
BUSY_RATE = 0.05
"""Share of the difference that each second of saturation takes over."""
IDLE_RATE = 0.02
"""Share of the difference for each second without a queue in which replicas do more than was thought possible."""
OUTLIER = 1.5
"""A measurement further away than this factor counts as this far."""
PROBE_RATE = 5e-5
"""Growth for each second of high load without a queue: what was learned in a bad time is forgotten in hours."""


class Capacity:
    """A replica's work per second, 1 where the step times are right."""

    def __init__(self, settings: Settings, learned: float) -> None:
        self._objective = settings.ttft
        self.value = min(HIGHEST, max(LOWEST, learned))
        self.wait = 0.0
        """Seconds that the first request in the queue has waited, estimated where no gateway tells."""
        self._saturated = 0.0
        self._still = 0.0
        self._ready = 0

    def take(self, signals: Signals, totals: Totals) -> None:
        """Learn from a look."""
        seconds = signals.seconds
        self._still = self._still + seconds if signals.ready == self._ready else 0.0
        self._ready = signals.ready
        self.wait = self._oldest(signals, totals)
        self._saturated = self._saturated + seconds if self.wait > SATURATED_WAIT * self._objective else 0.0
        if self._still < WINDOW or signals.reporting < signals.ready or not signals.ready:
            return
        served = totals.over(Field.SERVED, WINDOW) / (WINDOW * signals.ready)
        if self._saturated > SATURATED_FOR:
            self._move(BUSY_RATE * seconds, served)
        elif self.wait < IDLE_WAIT * self._objective:
            if served > self.value:
                self._move(IDLE_RATE * seconds, served)
            elif served > 0.7 * self.value:
                self._move(PROBE_RATE * seconds, 2 * self.value)

    def _move(self, share: float, towards: float) -> None:
        towards = min(OUTLIER * self.value, max(self.value / OUTLIER, towards))
        value = self.value + min(1.0, share) * (towards - self.value)
        self.value = min(HIGHEST, max(LOWEST, value))

    def _oldest(self, signals: Signals, totals: Totals) -> float:
        """By Little's law for the queues of engines: what waits, over what leaves the queue.

        The longest queue is left out: one pod that hangs, or that a router prefers, says nothing about the others.
        """
        in_engines = 0.0
        pods = signals.reporting
        waiting = signals.waiting if pods < 2 else (signals.waiting - signals.max_waiting) * pods / (pods - 1)
        if waiting > 0:
            rate = totals.over(Field.FIRST, 10) / 10
            in_engines = waiting * coverage(signals) / max(rate, 0.1)
        return max(in_engines, signals.gateway.oldest if signals.gateway else 0.0)
