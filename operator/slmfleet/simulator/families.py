"""Which of vLLM's metrics the simulator writes; what they are is engine.metrics' to say, release by release."""

from collections.abc import Iterator
from typing import Final

from slmfleet.engine.metrics import Metric, MetricTable
from slmfleet.engine.version import EngineVersion

CACHE_CONFIG: Final = "cache_config_info"
WRITTEN: Final = frozenset(
    {
        "admission_rejections",
        "e2e_request_latency_seconds",
        "engine_sleep_state",
        "generation_tokens",
        "gpu_cache_usage_perc",
        "inter_token_latency_seconds",
        "iteration_tokens_total",
        "kv_cache_usage_perc",
        "num_preemptions",
        "num_requests_running",
        "num_requests_waiting",
        "num_requests_waiting_by_reason",
        "prefix_cache_hits",
        "prefix_cache_queries",
        "prompt_tokens",
        "prompt_tokens_cached",
        "request_decode_time_seconds",
        "request_generation_tokens",
        "request_inference_time_seconds",
        "request_max_num_generation_tokens",
        "request_num_preemptions",
        "request_params_max_tokens",
        "request_params_n",
        "request_prefill_time_seconds",
        "request_prompt_tokens",
        "request_queue_time_seconds",
        "request_success",
        "request_time_per_output_token_seconds",
        "time_per_output_token_seconds",
        "time_to_first_token_seconds",
        CACHE_CONFIG,
    }
)
"""Not here: what a simulated engine has none of, such as a multi-modal cache. It must not claim that it is empty."""


def written(version: EngineVersion, show_hidden: str | None) -> Iterator[Metric]:
    """The families of a server of this release; `show_hidden` is its --show-hidden-metrics-for-version."""
    for metric in MetricTable.load().for_version(version):
        if metric.name in WRITTEN and (not metric.hidden or _asks_for(show_hidden, version)):
            yield metric


def _asks_for(show_hidden: str | None, version: EngineVersion) -> bool:
    """vLLM shows what it hid since the given release, which must be the previous minor (config/observability.py)."""
    if show_hidden is None:
        return False
    numbers = show_hidden.split(".")
    return numbers[:2] == [str(version.release[0]), str(version.release[1] - 1)]


def one_two_five(most: int) -> list[float]:
    """1, 2, 5, 10, 20, 50, ... up to `most`."""
    steps = (mantissa * 10**exponent for exponent in range(len(str(most))) for mantissa in (1, 2, 5))
    return [float(step) for step in steps if step <= most]
