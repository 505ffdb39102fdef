"""llm-d's workload variant autoscaler (WVA), its saturation analyzers V1 and V2, for one variant.

Source: llm-d/llm-d-workload-variant-autoscaler at b08b1c7: internal/saturation/analyzer.go (V1),
internal/engines/analyzers/saturation_v2/analyzer.go and internal/engines/pipeline/cost_aware_optimizer.go (V2),
internal/collector/registration/saturation.go (max_over_time[1m] of KV usage and queue per pod, mean lengths over 5 m),
charts/workload-variant-autoscaler/values.yaml: reconcile interval 60s, thresholds 0.80 and 5, spare triggers 0.1 and 3,
and the HPA that carries its number out, external with AverageValue 1: stabilisation 240 s both ways, 10 pods in 150 s.
That HPA's tolerance of 0.1 leaves +1 undone in fleets above ten; both windows and the tolerance are in the grid.
"""

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from bench.autoscale.policies.hpa import SYNC, TOLERANCE, Behavior, Step, external_replicas
from bench.autoscale.policies.readings import PROMETHEUS_LAG, PodMaximum, Window, waiting
from bench.autoscale.policy import Floats, Look

CYCLE = 60.0
HISTORY = 10
UP_THRESHOLD, DOWN_BOUNDARY = 0.85, 0.70
SHORT, MEDIUM = 100.0, 500.0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a replica is saturated, and how much must be to spare."""

    kv: float = 0.80
    queue: float = 5.0
    kv_spare: float = 0.1
    queue_spare: float = 3.0


def v1_target(kv: Floats, queue: Floats, current: int, limits: Thresholds) -> int:
    """V1: one more, one less or as many as there are; `kv` and `queue` are those of the replicas that report."""
    if not len(kv) or len(kv) != current:
        return current  # in transition
    calm = (kv < limits.kv) & (queue < limits.queue)
    count = int(calm.sum())
    spare_kv = float((limits.kv - kv[calm]).mean()) if count else 0.0
    spare_queue = float((limits.queue - queue[calm]).mean()) if count else 0.0
    if spare_kv < limits.kv_spare or spare_queue < limits.queue_spare:
        return current + 1
    if count < 2 or current <= 1:
        return current
    growth = count / (count - 1)
    left_kv = limits.kv - (limits.kv - spare_kv) * growth
    left_queue = limits.queue - (limits.queue - spare_queue) * growth
    safe = left_kv >= limits.kv_spare and left_queue >= limits.queue_spare
    return current - 1 if safe else current


@dataclass
class Capacity:
    """V2's compute-bound capacity k2, in tokens: what was in use when the queue was long, by length of outputs."""

    batched_tokens: float
    max_seqs: float
    _seen: dict[str, deque[float]] = field(default_factory=dict)

    def k2(self, queue: float, in_use: float, lengths: tuple[float, float], limits: Thresholds, k1: float) -> float:
        """Observed, else learned, else derived from the engine's arguments, else `k1`."""
        prompt, output = lengths
        bucket = "short" if output < SHORT else "medium" if output < MEDIUM else "long"
        if queue >= int(limits.queue) and in_use > 0:
            self._seen.setdefault(bucket, deque(maxlen=HISTORY)).append(in_use)
            return in_use
        if seen := self._seen.get(bucket):
            return math.floor(sum(seen) / len(seen))
        if output <= 0:
            return k1
        running = min(self.batched_tokens * output / (prompt + output), self.max_seqs)
        return math.floor(running * (prompt + output / 2)) or k1


def v2_target(demand: float, per_replica: float, current: int, pending: int) -> int:
    """V2 and its cost-aware optimizer: as many more as miss, as many fewer as are to spare."""
    if per_replica <= 0:
        return current
    required = demand / UP_THRESHOLD - current * per_replica
    if required > 0:
        return current + math.ceil(required / per_replica)
    spare = (current - pending) * per_replica - demand / DOWN_BOUNDARY
    return max(1, current - max(0, math.floor(spare / per_replica)))


class Wva:
    """The collector, the cycle of 60 s and the HPA; the analyzers are its children's."""

    period = SYNC
    lag = PROMETHEUS_LAG

    def __init__(self, name: str, stabilization: float, tolerance: float) -> None:
        self.name = name
        self._kv, self._queue = PodMaximum(60), PodMaximum(60)
        self._tolerance = tolerance
        step = Step(10, 0, 150)
        self._behavior = Behavior(stabilization, stabilization, step, step)
        self._last_cycle = -math.inf
        self._emitted: int | None = None
        self._look: Look | None = None

    def look(self, look: Look) -> None:
        """Take in each pod's usage and queue."""
        self._kv.add(look.signals.at, look.kv_usage)
        self._queue.add(look.signals.at, waiting(look))
        self._look = look

    def target(self, current: int, ready: int) -> int:
        """What the analyzer asks for."""
        raise NotImplementedError

    def desired(self, now: float, current: int, ready: int) -> int:
        """The analyzer's number, as the HPA carries it out."""
        if self._look is None:
            return current
        if now >= self._last_cycle + CYCLE:
            self._last_cycle = now
            self._emitted = self.target(current, ready)
        wanted = external_replicas(float(self._emitted or current), 1.0, current, self._tolerance)
        return self._behavior.limited(now, current, max(1, wanted))


class WvaV1(Wva):
    """V1: percentages of the KV cache and queue lengths."""

    def __init__(
        self, limits: Thresholds = Thresholds(), stabilization: float = 240.0, tolerance: float = TOLERANCE
    ) -> None:
        super().__init__("wva-v1", stabilization, tolerance)
        self._limits = limits

    def target(self, current: int, ready: int) -> int:
        """No decision while what was asked for is not there."""
        if ready != current or (self._emitted is not None and self._emitted != current and self._moving(current)):
            return self._emitted or current
        return v1_target(self._kv.values(), self._queue.values(), current, self._limits)

    def _moving(self, current: int) -> bool:
        # What the HPA's tolerance leaves undone is no transition that would ever end.
        return abs(1 - (self._emitted or current) / current) > self._tolerance


class WvaV2(Wva):
    """V2: tokens in use and queued against a learned capacity."""

    def __init__(
        self,
        limits: Thresholds = Thresholds(),
        stabilization: float = 240.0,
        tolerance: float = TOLERANCE,
        *,
        batched_tokens: int = 2048,
        max_seqs: int = 256,
    ) -> None:
        super().__init__("wva-v2", stabilization, tolerance)
        self._limits = limits
        self._capacity = Capacity(batched_tokens, max_seqs)
        self._sums = {name: Window(300) for name in ("prompt", "started", "output", "finished")}

    def look(self, look: Look) -> None:
        """Also the lengths of what began and ended."""
        super().look(look)
        s = look.signals
        amounts = (s.prompt_tokens, s.first_tokens, s.finished_generated_tokens, s.finished)
        for window, amount in zip(self._sums.values(), amounts, strict=True):
            window.add(s.at, amount)

    def target(self, current: int, ready: int) -> int:
        """Demand against supply, pods on their way included."""
        sizes = self._look.kv_capacity if self._look is not None else np.zeros(0)
        kv, queue = self._kv.values(), self._queue.values()
        if not len(kv) or len(kv) != len(sizes):
            return current
        prompt = self._sums["prompt"].total() / max(1.0, self._sums["started"].total())
        output = self._sums["output"].total() / max(1.0, self._sums["finished"].total())
        capacities, demand = [], 0.0
        for usage, waits, size in zip(kv, queue, sizes, strict=True):
            in_use, k1 = float(usage * size), float(size) * self._limits.kv
            k2 = self._capacity.k2(float(waits), in_use, (prompt, output), self._limits, k1)
            capacities.append(min(k1, k2))
            demand += in_use + float(waits) * prompt
        return v2_target(demand, float(np.median(capacities)), current, max(0, current - ready))
