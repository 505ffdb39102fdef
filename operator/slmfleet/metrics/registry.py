"""The operator's own metrics, as /metrics serves them."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# One SLMDeployment has half a dozen conditions: this bounds a scrape at about a megabyte.
MAX_CONDITIONS: Final = 10_000

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# A fleet has some ten series.
MAX_SCALING: Final = 2_000
"""Fleets whose decisions one scrape tells."""


@dataclass(frozen=True)
class ScalingRow:
    """The last decision about one fleet."""

    namespace: str
    name: str
    desired: int
    reason: str
    needs: Mapping[str, float]
    """Replicas that each consideration asks for."""
    unread: bool
    """Whether some of its engines could not be read."""


ConditionSource = Callable[[], Iterable[tuple[str, str, str, str]]]
RestartSource = Callable[[], Iterable[tuple[str, str, int]]]
ScalingSource = Callable[[], Iterable[ScalingRow]]


class Metrics:
    """What the operator counts. The rest is read from where it lives when a scrape asks for it."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.reconciles = self._counter(
            "reconcile", "Reconciles by result: ok, refused, transient, conflict, gone, fenced, bug."
        )
        self.seconds = Histogram(
            "slmfleet_reconcile_seconds",
            "Duration of a reconcile in seconds.",
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        )
        self._writes = Counter(
            "slmfleet_writes",
            "Writes to the API server. Result unchanged: found unnecessary and not sent.",
            ("kind", "verb", "result"),
            registry=self.registry,
        )
        self.scrape_seconds = Histogram(
            "slmfleet_scrape_seconds",
            "Seconds from the request for an engine's metrics to the page.",
            registry=self.registry,
            buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )
        self.scrape_failures = Counter(
            "slmfleet_scrape_failures",
            "Engines' pages that were not got, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self._scaling_failures = Counter(
            "slmfleet_scaling_failures",
            "Looks at a fleet that ended in an error; its number of replicas stays as it is.",
            registry=self.registry,
        )
        build = Gauge("slmfleet_build_info", "1, with the version.", ("version",), registry=self.registry)
        build.labels(version).set(1)

    def wrote(self, kind: str, verb: str, result: str) -> None:
        """Count a write, or one that was not necessary."""
        self._writes.labels(kind, verb, result).inc()

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that reads its value at the scrape."""
        Gauge(f"slmfleet_{name}", text, registry=self.registry).set_function(value)

    def scaling_failed(self) -> None:
        """Count a look at a fleet that went wrong."""
        self._scaling_failures.inc()

    def scaling(self, source: ScalingSource) -> None:
        """Export the decision about every fleet that scales; a deleted fleet's series end with it."""
        self.registry.register(_Scaling(source))

    def conditions(self, source: ConditionSource) -> None:
        """Export (namespace, name, type, status) of every condition; a deleted object's series end with it."""
        self.registry.register(_Conditions(source))

    def watch_restarts(self, source: RestartSource) -> None:
        """Export (resource, reason, count) of watches that ended badly."""
        self.registry.register(_WatchRestarts(source))

    def expose(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"slmfleet_{name}", text, ("result",), registry=self.registry)


class _Conditions(Collector):
    def __init__(self, source: ConditionSource) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "slmfleet_condition",
            "1 for the status that a condition has; True is good.",
            labels=("namespace", "name", "type", "status"),
        )
        for count, labels in enumerate(self._source()):
            if count == MAX_CONDITIONS:
                break
            family.add_metric(labels, 1)
        yield family


class _WatchRestarts(Collector):
    def __init__(self, source: RestartSource) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "slmfleet_watch_restarts",
            "Watches that ended badly, by resource and reason.",
            labels=("resource", "reason"),
        )
        for resource, reason, count in self._source():
            family.add_metric((resource, reason), count)
        yield family


class _Scaling(Collector):
    def __init__(self, source: ScalingSource) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        fleet = ("namespace", "name")
        desired = GaugeMetricFamily("slmfleet_scaling_desired_replicas", "Replicas that were decided.", labels=fleet)
        reason = GaugeMetricFamily(
            "slmfleet_scaling_reason", "1 for the need or bound that decides.", labels=(*fleet, "reason")
        )
        need = GaugeMetricFamily(
            "slmfleet_scaling_need_replicas", "Replicas that a consideration asks for.", labels=(*fleet, "need")
        )
        unread = GaugeMetricFamily("slmfleet_scaling_unread", "1 while engines cannot be read.", labels=fleet)
        for row in itertools.islice(self._source(), MAX_SCALING):
            which = (row.namespace, row.name)
            desired.add_metric(which, row.desired)
            reason.add_metric((*which, row.reason), 1)
            unread.add_metric(which, row.unread)
            for name, replicas in row.needs.items():
                need.add_metric((*which, name), replicas)
        yield from (desired, reason, need, unread)
