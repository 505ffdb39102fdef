"""The Prometheus metrics of every supported vLLM release, as read from the logger that the release itself builds.

metrics.json beside this file is generated (`make metrics`). What slmfleet wants to know of an engine is a signal; which
metric tells it is a matter of the release.
"""

import importlib.resources
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal

from .releases import Releases, Span
from .version import EngineVersion

PREFIX: Final = "vllm:"
Kind = Literal["gauge", "counter", "histogram"]


@dataclass(frozen=True)
class Metric:
    """One family of one release."""

    name: str
    """Without vllm: and without what is added to samples."""
    type: Kind
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, in its own unit, without infinity."""
    up_to_context: bool = False
    """A histogram of token counts, with 1-2-5 steps up to the longest sequence instead of fixed bounds."""
    series: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values of labels besides model_name and engine that have a series from the start; of all others there is none
    until it first happens."""
    hidden: bool = False
    """Only written with --show-hidden-metrics-for-version: on its way out."""

    @property
    def family(self) -> str:
        """As # TYPE has it."""
        return PREFIX + self.name

    @property
    def sample(self) -> str:
        """As a scrape has it; a histogram's samples are this and _bucket, _sum or _count."""
        return f"{self.family}_total" if self.type == "counter" else self.family


@dataclass(frozen=True)
class Signal:
    """Something that an engine tells of itself."""

    names: tuple[str, ...]
    """The metrics that have ever told it, the present one first."""
    meaning: str


RUNNING: Final = Signal(("num_requests_running",), "requests in the running batch")
WAITING: Final = Signal(("num_requests_waiting",), "requests in the queue, for whatever reason")
WAITING_BY_REASON: Final = Signal(
    ("num_requests_waiting_by_reason",),
    "the queue by reason: capacity (no room), deferred (slots for adapters, a KV transfer); the sum is the queue",
)
KV_USAGE: Final = Signal(("kv_cache_usage_perc", "gpu_cache_usage_perc"), "used part of the KV cache, 0 to 1")
PREEMPTIONS: Final = Signal(("num_preemptions",), "requests thrown out of the batch for want of KV cache")
PREFIX_QUERIES: Final = Signal(
    ("prefix_cache_queries", "gpu_prefix_cache_queries"), "prompt tokens that were looked up in the prefix cache"
)
PREFIX_HITS: Final = Signal(
    ("prefix_cache_hits", "gpu_prefix_cache_hits"), "prompt tokens that were found in the prefix cache"
)
PROMPT_TOKENS: Final = Signal(("prompt_tokens",), "prompt tokens, prefix cache hits included")
CACHED_PROMPT_TOKENS: Final = Signal(
    ("prompt_tokens_cached",), "those of them that were not computed: found in the prefix cache, or transferred"
)
GENERATED_TOKENS: Final = Signal(("generation_tokens",), "generated tokens")
ITERATION_TOKENS: Final = Signal(
    ("iteration_tokens_total",), "tokens per engine step; requests that run while it stands still mean a hung engine"
)
TIME_TO_FIRST_TOKEN: Final = Signal(("time_to_first_token_seconds",), "seconds from arrival to the first token")
INTER_TOKEN_LATENCY: Final = Signal(
    ("inter_token_latency_seconds", "time_per_output_token_seconds"), "seconds between two tokens of a request"
)
QUEUE_TIME: Final = Signal(
    ("request_queue_time_seconds",), "seconds in the queue; of finished requests only, so it lags behind load"
)
END_TO_END: Final = Signal(("e2e_request_latency_seconds",), "seconds from arrival to the end; of finished requests")
FINISHED_TOKENS: Final = Signal(
    ("request_generation_tokens",), "generated tokens per request, told when it ends; the count is the ended requests"
)
SUCCESSES: Final = Signal(("request_success",), "finished requests by the reason for which they ended")
REJECTIONS: Final = Signal(("admission_rejections",), "requests refused with 503 by a limit of the queue, by limit")
SLEEP_STATE: Final = Signal(
    ("engine_sleep_state",), "1 for the present state; /health answers 200 in every one of them"
)
ADAPTERS: Final = Signal(
    ("lora_requests_info",),
    "adapters of running and waiting requests, in labels; the value is a time, the newest series is the present one",
)
CACHE_CONFIG: Final = Signal(("cache_config_info",), "the KV cache as configured and measured, in labels")

SIGNALS: Final = (
    RUNNING,
    WAITING,
    WAITING_BY_REASON,
    KV_USAGE,
    PREEMPTIONS,
    PREFIX_QUERIES,
    PREFIX_HITS,
    PROMPT_TOKENS,
    CACHED_PROMPT_TOKENS,
    GENERATED_TOKENS,
    ITERATION_TOKENS,
    TIME_TO_FIRST_TOKEN,
    INTER_TOKEN_LATENCY,
    QUEUE_TIME,
    END_TO_END,
    FINISHED_TOKENS,
    SUCCESSES,
    REJECTIONS,
    SLEEP_STATE,
    ADAPTERS,
    CACHE_CONFIG,
)


class Metrics:
    """The metrics of one release."""

    def __init__(self, release: str, metrics: Mapping[str, Metric], *, known: bool) -> None:
        self.release = release
        """The release that was read."""
        self.known = known
        """False where the release asked for is outside the table and this is its nearest."""
        self._metrics = metrics

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._metrics.values())

    def find(self, name: str) -> Metric | None:
        """A metric by its name, with vllm: or without; None where the release has none, hidden ones included."""
        return self._metrics.get(name.removeprefix(PREFIX))

    def tells(self, signal: Signal) -> Metric | None:
        """The metric that tells a signal in this release without a flag; None where nothing does."""
        found = (self._metrics.get(name) for name in signal.names)
        return next((metric for metric in found if metric is not None and not metric.hidden), None)


class MetricTable:
    """The metrics of all releases."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._releases = Releases(data["releases"])
        self._rows = [(self._releases.held(row), metric_of(row)) for row in data["metrics"]]
        self.releases = self._releases.versions
        """Oldest first."""

    @classmethod
    @cache
    def load(cls) -> "MetricTable":
        """The one of this package."""
        text = (importlib.resources.files(__package__) / "metrics.json").read_text(encoding="utf-8")
        return cls(json.loads(text))

    def for_version(self, version: EngineVersion) -> Metrics:
        """The metrics of a release, of its candidates and post releases; else of the newest that is not newer."""
        place = self._releases.place(version)
        metrics = {metric.name: metric for held, metric in self._rows if place in held}
        return Metrics(self._releases.names[place], metrics, known=self._releases.covers(version))

    def spans(self, name: str, *, hidden: bool | None = None) -> tuple[Span, ...]:
        """When a metric was there, only as a hidden one or only as one that is not; empty for one that never was."""
        rows = [(held, metric) for held, metric in self._rows if metric.name == name.removeprefix(PREFIX)]
        return self._releases.spans(
            {place for held, metric in rows if hidden in (None, metric.hidden) for place in held}
        )


def replacement(name: str) -> str | None:
    """What tells today what this metric told before it was renamed; None where it has its name yet."""
    bare = name.removeprefix(PREFIX)
    return next((PREFIX + s.names[0] for s in SIGNALS if bare in s.names[1:]), None)


def metric_of(row: Mapping[str, Any]) -> Metric:
    """A row of the table, whatever releases it holds for."""
    buckets = row.get("buckets", ())
    return Metric(
        name=row["metric"],
        type=row["type"],
        help=row["help"],
        labels=tuple(row["labels"]),
        buckets=() if buckets == "context" else tuple(map(float, buckets)),
        up_to_context=buckets == "context",
        series={label: tuple(values) for label, values in row.get("series", {}).items()},
        hidden=row.get("hidden", False),
    )
