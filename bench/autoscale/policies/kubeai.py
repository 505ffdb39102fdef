"""KubeAI's autoscaler.

Source: substratusai/kubeai internal/modelautoscaler/autoscaler.go, internal/modelclient/scale.go, api/k8s/v1
(targetRequests 100, scaleDownDelaySeconds 30), charts/kubeai/values.yaml (interval 10s, timeWindow 10m): the mean of
the active requests over the window by targetRequests, rounded up; down only after delay / interval consecutive wishes.
The window begins filled with the first number, as after a restart.
"""

import math
from collections import deque

from bench.autoscale.policy import Look


class KubeAi:
    """One model's autoscaler."""

    name = "kubeai"
    lag = 1.0

    def __init__(
        self, target: float = 100.0, window: float = 600.0, interval: float = 10.0, down_delay: float = 30.0
    ) -> None:
        self.period = interval
        self._target = target
        self._past: deque[float] = deque(maxlen=math.ceil(window / interval))
        self._downs_needed = math.ceil(down_delay / interval)
        self._downs = 0
        self._active = 0.0

    def look(self, look: Look) -> None:
        """Keep the latest number of active requests."""
        self._active = look.in_flight

    def desired(self, now: float, current: int, ready: int) -> int:  # noqa: ARG002 - it looks at neither
        """What Scale() writes."""
        if not self._past:
            self._past.extend([self._active] * (self._past.maxlen or 1))
        self._past.append(self._active)
        wanted = max(1, math.ceil(sum(self._past) / len(self._past) / self._target))
        if wanted >= current:
            self._downs = 0
            return wanted
        if self._downs < self._downs_needed:
            self._downs += 1
            return current
        return wanted
