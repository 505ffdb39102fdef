"""KEDA with the rule of the vLLM production stack's tutorial 20: vllm:num_requests_waiting, threshold 5.

Source: vllm-project/production-stack tutorials/20-keda-autoscaling.md; kedacore/keda pkg/scalers/prometheus_scaler.go.
KEDA makes an HPA with an external metric of type AverageValue, so replicas = ceil(query / threshold) under the HPA's
tolerance, sync and stabilisation; an empty result counts as 0 (ignoreNullValues). pollingInterval and cooldownPeriod
only matter between 0 and 1 replicas. The tutorial's query is not summed: with two pods it gives two series, which the
scaler answers with an error, and the HPA stays where it is. `summed` is what its author must have meant, and what runs
in the comparison.
"""

from bench.autoscale.policies.hpa import SYNC, Behavior, external_replicas
from bench.autoscale.policies.readings import PROMETHEUS_LAG, waiting
from bench.autoscale.policy import Look


class Keda:
    """A ScaledObject with a Prometheus trigger."""

    name = "keda"
    period = SYNC
    lag = PROMETHEUS_LAG

    def __init__(self, threshold: float = 5.0, down_window: float = 300.0, *, summed: bool = True) -> None:
        self._threshold = threshold
        self._behavior = Behavior(down_window=down_window)
        self._summed = summed
        self._look: Look | None = None

    def look(self, look: Look) -> None:
        """Keep the latest."""
        self._look = look

    def desired(self, now: float, current: int, ready: int) -> int:  # noqa: ARG002 - an external metric knows no pods
        """What KEDA's HPA writes to /scale."""
        if self._look is None or (not self._summed and len(self._look.waiting) > 1):
            return self._behavior.limited(now, current, current)
        wanted = external_replicas(float(waiting(self._look).sum()), self._threshold, current)
        return self._behavior.limited(now, current, max(1, wanted))
