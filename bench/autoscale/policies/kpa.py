"""Knative Serving's KPA on concurrency.

Source: knative/serving pkg/autoscaler/scaling/autoscaler.go (Scale) and config/core/configmaps/autoscaler.yaml: tick
2 s, stable window 60 s, panic window 10 % of it, panic threshold 200 %, target 100 at 70 % utilisation, up-rate 1000,
down-rate 2. The concurrency is the mean number of requests in flight in each second, which activator and queue proxies
count themselves. As a restart of the autoscaler does, it begins in panic with the pods that are ready.
"""

import math

from bench.autoscale.policies.readings import Window
from bench.autoscale.policy import Look

TICK = 2.0
PANIC_THRESHOLD = 2.0
UP_RATE = 1000.0
DOWN_RATE = 2.0
UTILISATION = 0.7


class Kpa:
    """One revision's autoscaler."""

    name = "kpa"
    period = TICK
    lag = 1.0

    def __init__(self, target: float = 100.0, stable_window: float = 60.0, panic_share: float = 0.1) -> None:
        self._target = target * UTILISATION
        self._stable = Window(stable_window)
        self._panic = Window(stable_window * panic_share)
        self._panic_since: float | None = None
        self._panic_pods = 0
        self._begun = False

    def look(self, look: Look) -> None:
        """One second's concurrency."""
        self._stable.add(look.signals.at, look.in_flight)
        self._panic.add(look.signals.at, look.in_flight)

    def desired(self, now: float, current: int, ready: int) -> int:
        """Scale(): what the stable window asks for, and in panic no less than the panic window has asked for."""
        if not len(self._stable):
            return current
        if not self._begun:
            self._begun, self._panic_pods = True, ready
            self._panic_since = now if ready > 1 else None
        pods = max(1, ready)
        highest, lowest = math.ceil(UP_RATE * pods), math.floor(pods / DOWN_RATE)
        stable = min(max(math.ceil(self._stable.mean() / self._target), lowest), highest)
        asked = math.ceil(self._panic.mean() / self._target)
        panic = min(max(asked, lowest), highest)
        if asked / pods >= PANIC_THRESHOLD:
            self._panic_since = now
        elif self._panic_since is not None and self._panic_since + self._stable.seconds < now:
            self._panic_since, self._panic_pods = None, 0
        if self._panic_since is None:
            return max(1, stable)
        self._panic_pods = max(self._panic_pods, stable, panic)
        return max(1, self._panic_pods)
