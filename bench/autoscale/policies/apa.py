"""AIBrix's APA.

Source: vllm-project/aibrix pkg/controller/podautoscaler: algorithm/apa.go (computeTargetReplicas), context/context.go
(tolerances 0.1, rates 2, down cooldown 300 s), autoscaler.go (applyPendingReplicaGuard); resync 10 s, the metric is the
mean over pods and a window of 180 s. The samples hold kv_cache_usage_perc at 0.5. A recommendation to shrink counts
once every one of the cooldown has been as low.
"""

import math

from bench.autoscale.policies.readings import Window
from bench.autoscale.policy import Look

TOLERANCE = 0.1
RATE = 2.0


def target_replicas(value: float, target: float, current: int, ready: int) -> int:
    """computeTargetReplicas with the guard that counts pending pods as missing metrics."""
    wanted = _unguarded(value / target, current)
    pending = current - min(ready, current)
    if not pending or wanted == current or not current:
        return wanted
    if wanted > current:
        adjusted = math.ceil(value * (current - pending) / target)
        return min(max(adjusted, current), wanted)
    adjusted = math.ceil((value * (current - pending) + target * pending) / target)
    return max(min(adjusted, current), wanted)


def _unguarded(ratio: float, current: int) -> int:
    if ratio > 1 + TOLERANCE:
        return min(math.ceil(current * ratio), math.ceil(RATE * current))
    if ratio < 1 - TOLERANCE:
        return max(math.ceil(current * ratio), math.floor(current / RATE))
    return current


class Apa:
    """A PodAutoscaler with the strategy APA on the KV cache's usage."""

    name = "aibrix-apa"
    period = 10.0
    lag = 1.0

    def __init__(self, target: float = 0.5, window: float = 180.0, down_cooldown: float = 300.0) -> None:
        self._target = target
        self._usage = Window(window)
        self._past = Window(down_cooldown)

    def look(self, look: Look) -> None:
        """The mean over pods; no pod, no number."""
        if len(look.kv_usage):
            self._usage.add(look.signals.at, float(look.kv_usage.mean()))

    def desired(self, now: float, current: int, ready: int) -> int:
        """The recommendation, and to shrink the highest of the cooldown."""
        if not len(self._usage):
            return current
        wanted = max(1, target_replicas(self._usage.mean(), self._target, current, ready))
        self._past.add(now, wanted)
        highest = int(max(self._past.within(now - self._past.seconds)))
        return wanted if wanted >= current else min(current, max(wanted, highest))
