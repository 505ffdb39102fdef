"""The /metrics page of one engine, as the given vLLM release writes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from slmfleet.engine.version import EngineVersion

from . import families
from .config import EngineConfig
from .families import Family

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
        self._version = version
        self._labels = {"model_name": config.served_names[0], "engine": _ENGINE}
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        for family in families.FAMILIES:
            if family.present(version, show_hidden):
                self._register(family, config.max_model_len)
        self._info = Gauge(
            "vllm:cache_config_info",
            "Information of the LLMEngine CacheConfig",
            sorted(info := cache_config_info(version, config)),
            registry=self.registry,
        )
        self._info.labels(**info).set(1)
        self._start_at_zero()

    def _register(self, family: Family, max_model_len: int) -> None:
        name = f"vllm:{family.name}"
        if family.kind == "gauge":
            self._gauges[family.name] = Gauge(name, family.help, family.labels, registry=self.registry)
        elif family.kind == "counter":
            self._counters[family.name] = Counter(name, family.help, family.labels, registry=self.registry)
        else:
            buckets = family.buckets or families.one_two_five(max_model_len)
            self._histograms[family.name] = Histogram(
                name, family.help, family.labels, buckets=buckets, registry=self.registry
            )

    def _start_at_zero(self) -> None:
        """Every series exists from the start, as in vLLM: a rate over a new pod must not miss its first event."""
        for name, values in (
            ("num_requests_waiting_by_reason", {"reason": families.WAITING_REASONS}),
            ("engine_sleep_state", {"sleep_state": families.SLEEP_STATES}),
            ("request_success", {"finished_reason": families.FINISH_REASONS}),
            ("admission_rejections", {"reason": families.REJECTION_REASONS}),
        ):
            ((label, every),) = values.items()
            for value in every:
                self.set(name, 1.0 if value == "awake" else 0.0, **{label: value})
                self.count(name, 0, **{label: value})
        kinds: tuple[Mapping[str, Gauge | Counter | Histogram], ...] = (self._gauges, self._counters, self._histograms)
        for kind in kinds:
            for metric in kind.values():
                if set(_labelnames(metric)) == set(families.LABELS):
                    metric.labels(**self._labels)

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


def cache_config_info(version: EngineVersion, config: EngineConfig) -> dict[str, str]:
    """Labels of vllm:cache_config_info; it has no model_name, and from 0.24 tells the concurrency at full length."""
    info = dict(families.CACHE_CONFIG_EVER)
    info |= {
        "engine": _ENGINE,
        "block_size": str(config.block_size),
        "enable_prefix_caching": str(config.prefix_caching),
        "gpu_memory_utilization": str(config.gpu_memory_utilization),
        "num_gpu_blocks": str(config.num_blocks),
    }
    if version < families.SWAP_SPACE_UNTIL:
        info["swap_space"] = "4"
    if version >= families.MAX_CONCURRENCY_SINCE:
        info["kv_cache_size_tokens"] = str(config.kv_tokens)
        info["kv_cache_max_concurrency"] = str(config.max_concurrency)
    if version >= families.CACHE_CONFIG_RECENT_SINCE:
        info |= families.CACHE_CONFIG_RECENT
        info["kv_cache_memory_bytes"] = str(config.kv_tokens * config.kv_bytes_per_token)
        info["effective_attention_block_size"] = str(config.block_size)
    return info
