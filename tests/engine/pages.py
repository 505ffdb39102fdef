"""/metrics pages as vLLM's client library writes them, with the families of a release and numbers of the test's."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from slmfleet.engine.metrics import Metric, MetricTable
from slmfleet.engine.page import PageReader
from slmfleet.engine.version import EngineVersion

LATEST = "0.32.0"
CONTEXT = (1.0, 10.0, 100.0, 1000.0)
"""Bounds of the histograms that reach up to a model's context."""

Values = Mapping[str, float | Sequence[float]]
"""By metric, without vllm: and what is added to samples; a histogram's are what it observed."""


def reader(release: str = LATEST) -> PageReader:
    return PageReader(MetricTable.load().for_version(EngineVersion.parse(release)))


def page(
    *engines: Values, release: str = LATEST, names: Sequence[str] = ("tiny",), info: Mapping[str, str] | None = None
) -> bytes:
    """One engine for each of `engines`, by default one without any load; `info` are labels of cache_config_info."""
    registry = CollectorRegistry()
    for metric in MetricTable.load().for_version(EngineVersion.parse(release)):
        if metric.hidden:
            continue
        collector: Any = _collector(metric, registry)
        for (rank, values), name in product(enumerate(engines or ({},)), names):
            _fill(collector, metric, {"model_name": name, "engine": str(rank)}, values, info or {})
    return generate_latest(registry)


def _collector(metric: Metric, registry: CollectorRegistry) -> Gauge | Counter | Histogram:
    if metric.type == "histogram":
        buckets = CONTEXT if metric.up_to_context else metric.buckets
        return Histogram(metric.family, metric.help, metric.labels, buckets=buckets, registry=registry)
    kind = Gauge if metric.type == "gauge" else Counter
    return kind(metric.family, metric.help, metric.labels, registry=registry)


def _fill(collector: Any, metric: Metric, base: dict[str, str], values: Values, info: Mapping[str, str]) -> None:
    if metric.name == "cache_config_info":
        settings = {label: told[0] for label, told in metric.series.items()} | base | dict(info)
        collector.labels(**{label: settings.get(label, "None") for label in metric.labels}).set(1)
        return
    given = values.get(metric.name, 0.0)
    for further in product(*metric.series.values()):
        labels = base | dict(zip(metric.series, further, strict=True))
        child = collector.labels(**{label: labels.get(label, "x") for label in metric.labels})
        if metric.type == "gauge":
            child.set(given)
        elif metric.type == "counter":
            child.inc(given)
        else:
            for value in given if isinstance(given, Sequence) else ():
                child.observe(value)
