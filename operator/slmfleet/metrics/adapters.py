"""The metrics of LoRA adapters: loads, failures, seconds, residency."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MAX_FLEETS: Final = 2_000
"""Fleets whose residency one scrape tells."""

ResidencySource = Callable[[], Iterable[tuple[str, str, int]]]


class AdapterMetrics:
    """What guards report, counted. Residency is what engines list; it says nothing about requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.loads = Counter("slmfleet_adapter_loads", "Adapters that engines have loaded.", registry=registry)
        self.failures = Counter(
            "slmfleet_adapter_load_failures",
            "Adapters that engines did not load, by reason.",
            ("reason",),
            registry=registry,
        )
        self.seconds = Histogram(
            "slmfleet_adapter_load_seconds",
            "Seconds of a load in an engine.",
            registry=registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        )
        self.calls = Counter(
            "slmfleet_adapter_guard_calls",
            "Requests to guards about adapters, by method and status of the answer (0: none came).",
            ("method", "status"),
            registry=registry,
        )

    def residency(self, source: ResidencySource) -> None:
        """Export (namespace, name, count): adapters that the engines of a fleet have loaded, in all of its pods."""
        self._registry.register(_Residency(source))


class _Residency(Collector):
    def __init__(self, source: ResidencySource) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "slmfleet_adapter_residencies",
            "Adapters that are loaded, summed over the pods of a fleet.",
            labels=("namespace", "name"),
        )
        for count, (namespace, name, loaded) in enumerate(self._source()):
            if count == MAX_FLEETS:
                break
            family.add_metric((namespace, name), loaded)
        yield family
