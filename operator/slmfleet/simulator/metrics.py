"""The /metrics page of one engine, as the given vLLM release writes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from slmfleet.engine.metrics import Metric
from slmfleet.engine.version import EngineVersion

from . import families
from .config import EngineConfig

CONTENT_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"
_ENGINE: Final = "0"


@dataclass(frozen=True)
class FinishedRequest:
    """What a finished request adds to the histograms; times in seconds."""

    prompt_tokens: int
    generated: int
    max_tokens: int | None
    finish_reason: str
    queued: float
    prefill: float
    decode: float
    end_to_end: float
    preemptions: int


class EngineMetrics:
    """The families of one engine with one model name; a family that the release lacks ignores what it is told."""

    def __init__(self, version: EngineVersion, config: EngineConfig, show_hidden: str | None = None) -> None:
        self.registry = CollectorRegistry()
        self._labels = {"model_name": config.served_names[0], "engine": _ENGINE}
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in families.written(version, show_hidden):
            if metric.name == families.CACHE_CONFIG:
                self._write_cache_config(metric, config)
            else:
                self._register(metric, config.max_model_len)
                self._start_at_zero(metric)

    def _register(self, metric: Metric, max_model_len: int) -> None:
        if metric.type == "gauge":
            self._gauges[metric.name] = Gauge(metric.family, metric.help, metric.labels, registry=self.registry)
        elif metric.type == "counter":
            self._counters[metric.name] = Counter(metric.family, metric.help, metric.labels, registry=self.registry)
        else:
            buckets = families.one_two_five(max_model_len) if metric.up_to_context else metric.buckets
            self._histograms[metric.name] = Histogram(
                metric.family, metric.help, metric.labels, buckets=buckets, registry=self.registry
            )

    def _start_at_zero(self, metric: Metric) -> None:
        """Every series exists from the start, as in vLLM: a rate over a new pod must not miss its first event."""
        for label, values in metric.series.items():
            for value in values:
                self.set(metric.name, 1.0 if value == "awake" else 0.0, **{label: value})
                self.count(metric.name, 0, **{label: value})
        if not metric.series:
            kinds: tuple[Mapping[str, Gauge | Counter | Histogram], ...] = (
                self._gauges,
                self._counters,
                self._histograms,
            )
            for kind in kinds:
                if metric.name in kind:
                    kind[metric.name].labels(**self._labels)

    def _write_cache_config(self, metric: Metric, config: EngineConfig) -> None:
        info = cache_config_info(metric, config)
        Gauge(metric.family, metric.help, metric.labels, registry=self.registry).labels(**info).set(1)

    def set(self, name: str, value: float, **extra: str) -> None:
        """Set a gauge."""
        if (gauge := self._gauges.get(name)) is not None:
            gauge.labels(**self._labels, **extra).set(value)

    def count(self, name: str, amount: float, **extra: str) -> None:
        """Add to a counter."""
        if (counter := self._counters.get(name)) is not None:
            labels = self._labels | extra
            counter.labels(**{label: labels[label] for label in _labelnames(counter)}).inc(amount)

    def observe(self, name: str, value: float) -> None:
        """Observe a value in a histogram."""
        if (histogram := self._histograms.get(name)) is not None:
            histogram.labels(**self._labels).observe(value)

    def state(self, *, running: int, waiting: int, kv_usage: float) -> None:
        """The scheduler's state after a step."""
        self.set("num_requests_running", running)
        self.set("num_requests_waiting", waiting)
        self.set("num_requests_waiting_by_reason", waiting, reason="capacity")
        self.set("kv_cache_usage_perc", kv_usage)
        self.set("gpu_cache_usage_perc", kv_usage)

    def token_gap(self, seconds: float) -> None:
        """The time between two tokens of one request."""
        self.observe("inter_token_latency_seconds", seconds)
        self.observe("time_per_output_token_seconds", seconds)

    def finished(self, request: FinishedRequest) -> None:
        """A request ended; vLLM observes all of these only then."""
        self.count("request_success", 1, finished_reason=request.finish_reason)
        for name, value in (
            ("e2e_request_latency_seconds", request.end_to_end),
            ("request_queue_time_seconds", request.queued),
            ("request_prefill_time_seconds", request.prefill),
            ("request_decode_time_seconds", request.decode),
            ("request_inference_time_seconds", request.prefill + request.decode),
            ("request_time_per_output_token_seconds", request.decode / max(1, request.generated - 1)),
            ("request_num_preemptions", request.preemptions),
            ("request_prompt_tokens", request.prompt_tokens),
            ("request_generation_tokens", request.generated),
            ("request_max_num_generation_tokens", request.generated),
            ("request_params_n", 1),
        ):
            self.observe(name, value)
        if request.max_tokens is not None:
            self.observe("request_params_max_tokens", request.max_tokens)

    def render(self) -> bytes:
        """The page in Prometheus's text format."""
        return generate_latest(self.registry)

    def render_nan(self) -> bytes:
        """The page with every gauge of the scheduler's state NaN (a fault)."""
        return self._with_gauges(lambda _: float("nan"))

    def _with_gauges(self, change: Callable[[float], float]) -> bytes:
        names = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "gpu_cache_usage_perc")
        gauges = [self._gauges[name].labels(**self._labels) for name in names if name in self._gauges]
        before = [gauge._value.get() for gauge in gauges]  # noqa: SLF001 - the client library has no public read
        for gauge, value in zip(gauges, before, strict=True):
            gauge.set(change(value))
        page = self.render()
        for gauge, value in zip(gauges, before, strict=True):
            gauge.set(value)
        return page


def _labelnames(metric: Gauge | Counter | Histogram) -> tuple[str, ...]:
    names: tuple[str, ...] = metric._labelnames  # noqa: SLF001 - the client library has no public read
    return names


def cache_config_info(metric: Metric, config: EngineConfig) -> dict[str, str]:
    """Labels of vllm:cache_config_info: those of the release, with its defaults where the simulator has no value.

    None is model_name; from 0.24 on they tell the concurrency at full length.
    """
    defaults = {label: values[0] for label, values in metric.series.items()}
    ours = {
        "engine": _ENGINE,
        "block_size": str(config.block_size),
        "effective_attention_block_size": str(config.block_size),
        "enable_prefix_caching": str(config.prefix_caching),
        "gpu_memory_utilization": str(config.gpu_memory_utilization),
        "kv_cache_max_concurrency": str(config.max_concurrency),
        "kv_cache_memory_bytes": str(config.kv_tokens * config.kv_bytes_per_token),
        "kv_cache_size_tokens": str(config.kv_tokens),
        "num_gpu_blocks": str(config.num_blocks),
    }
    return defaults | {label: value for label, value in ours.items() if label in metric.labels}
