"""Kubernetes' HorizontalPodAutoscaler, autoscaling/v2.

Source: kubernetes/kubernetes pkg/controller/podautoscaler, replica_calculator.go (calcPlainMetricReplicas,
GetExternalPerPodMetricReplicas) and horizontal.go (stabilizeRecommendationWithBehaviors,
convertDesiredReplicasWithBehaviorRate); defaults: pkg/apis/autoscaling/v2/defaults.go and the controller's flags
(--horizontal-pod-autoscaler-sync-period 15s, tolerance 0.1).

A starting pod has no metric: it counts as 0 when the fleet grows and as the target when it shrinks, and a change that
would turn around because of that is not made.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.autoscale.policies.readings import PROMETHEUS_LAG, Window, waiting
from bench.autoscale.policy import Floats, Look

SYNC = 15.0
TOLERANCE = 0.1


def pods_replicas(values: Floats, target: float, current: int, tolerance: float = TOLERANCE) -> int:
    """What a metric of type Pods asks for; `values` are those of the pods that report, `current` pods exist."""
    reporting = min(len(values), current)
    if not reporting:
        return current
    total, missing = float(values[:reporting].sum()), current - reporting
    ratio = total / reporting / target
    if not missing:
        return current if abs(1 - ratio) <= tolerance else math.ceil(ratio * reporting)
    if ratio < 1:
        total += missing * target
    again = total / current / target
    if abs(1 - again) <= tolerance or (ratio < 1 < again) or (again < 1 < ratio):
        return current
    wanted = math.ceil(again * current)
    return current if (again < 1 and wanted > current) or (again > 1 and wanted < current) else wanted


def external_replicas(total: float, target: float, current: int, tolerance: float = TOLERANCE) -> int:
    """What a metric of type External with an AverageValue asks for."""
    if current and abs(1 - total / (target * current)) <= tolerance:
        return current
    return math.ceil(total / target)


@dataclass(frozen=True, slots=True)
class Step:
    """A scaling policy of `spec.behavior`: how much may change in a period. 0 is no such policy."""

    pods: int
    percent: float
    period: float


@dataclass
class Behavior:
    """spec.behavior: stabilisation windows and step limits. The larger of pods and percent counts (policy Max)."""

    up_window: float = 0.0
    down_window: float = 300.0
    up: Step = field(default=Step(4, 100, 15))
    down: Step = field(default=Step(0, 100, 15))
    _past: Window = field(init=False)
    _changes: deque[tuple[float, int]] = field(default_factory=deque, init=False)
    _last: tuple[float, int] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._past = Window(max(self.up_window, self.down_window) + SYNC)

    def limited(self, now: float, current: int, wanted: int) -> int:
        """`wanted`, stabilised and within the step limits."""
        if self._last is not None and current != self._last[1]:
            self._changes.append((self._last[0], current - self._last[1]))
        lowest = min([wanted, *(int(n) for n in self._past.within(now - self.up_window))])
        highest = max([wanted, *(int(n) for n in self._past.within(now - self.down_window))])
        self._past.add(now, wanted)
        stable = min(max(current, lowest), highest)
        self._last = now, current
        if stable > current:
            return min(stable, self._up_limit(now, current))
        return max(stable, self._down_limit(now, current), 1)

    def _began(self, now: float, current: int, period: float) -> int:
        while self._changes and self._changes[0][0] <= now - max(self.up.period, self.down.period):
            self._changes.popleft()
        return current - sum(change for at, change in self._changes if at > now - period)

    def _up_limit(self, now: float, current: int) -> int:
        start = self._began(now, current, self.up.period)
        limits = [start + self.up.pods] if self.up.pods else []
        if self.up.percent:
            limits.append(math.ceil(start * (1 + self.up.percent / 100)))
        return max(current, *limits)

    def _down_limit(self, now: float, current: int) -> int:
        start = self._began(now, current, self.down.period)
        limits = [start - self.down.pods] if self.down.pods else []
        if self.down.percent:
            limits.append(int(start * (1 - self.down.percent / 100)))
        return min(current, *limits)


Metric = tuple[Callable[[Look], Floats], float]
"""What is read of each pod, and the AverageValue that it is held at."""


def kv_usage(look: Look) -> Floats:
    """The share of the KV cache that is full, for each pod."""
    return look.kv_usage


class Hpa:
    """An HPA on metrics of type Pods from Prometheus; the highest of what they ask for counts."""

    period = SYNC
    lag = PROMETHEUS_LAG

    def __init__(
        self, name: str, metrics: Sequence[Metric], behavior: Behavior | None = None, tolerance: float = TOLERANCE
    ) -> None:
        self.name = name
        self._metrics = metrics
        self._behavior = behavior or Behavior()
        self._tolerance = tolerance
        self._look: Look | None = None

    def look(self, look: Look) -> None:
        """Keep the latest."""
        self._look = look

    def desired(self, now: float, current: int, ready: int) -> int:  # noqa: ARG002 - the pods' metrics tell who is ready
        """What the controller writes to /scale."""
        if self._look is None or not len(self._look.running):
            # No metric of any pod: the controller cannot compute and leaves the number.
            return self._behavior.limited(now, current, current)
        wanted = max(pods_replicas(read(self._look), at, current, self._tolerance) for read, at in self._metrics)
        return self._behavior.limited(now, current, max(1, wanted))


def hpa_waiting(target: float = 5.0, down_window: float = 300.0) -> Hpa:
    """On vllm:num_requests_waiting. 5 is what the guides of GKE and of the vLLM production stack begin with."""
    return Hpa("hpa-waiting", [(waiting, target)], Behavior(down_window=down_window))


def hpa_kv(target: float = 0.8, down_window: float = 300.0) -> Hpa:
    """On vllm:kv_cache_usage_perc. 0.8 is where llm-d calls a replica saturated."""
    return Hpa("hpa-kv", [(kv_usage, target)], Behavior(down_window=down_window))


def hpa_max(kv: float = 0.8, queue: float = 5.0, down_window: float = 300.0) -> Hpa:
    """On both; the higher number counts."""
    return Hpa("hpa-max", [(kv_usage, kv), (waiting, queue)], Behavior(down_window=down_window))
