"""vLLM's metric families by release: names, labels, buckets.

Sources: vllm/v1/metrics/loggers.py and buckets.py of vLLM 0.32.0, and the renames read from the source distributions of
0.11.0 to 0.33.0. Families without a release here were taken as present in all of these; their history was not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slmfleet.engine.version import EngineVersion

LABELS: Final = ("model_name", "engine")
SLEEP_STATES: Final = ("awake", "weights_offloaded", "discard_all")
WAITING_REASONS: Final = ("capacity", "deferred")
REJECTION_REASONS: Final = ("max_num_queued_reqs", "max_num_queued_tokens")
FINISH_REASONS: Final = ("stop", "length", "abort", "error", "repetition")

LATENCY: Final = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
"""Seconds."""
TTFT: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5),
    *(10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
"""Seconds."""
ITL: Final = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5),
    *(10.0, 20.0, 40.0, 80.0),
)
"""Seconds."""
ITERATION: Final = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
"""Tokens per engine step."""
N: Final = (1, 2, 5, 10, 20)
PREEMPTIONS: Final = (1, 2, 3, 4, 5, 10, 20)


@dataclass(frozen=True)
class Family:
    """One family; `since` and `until` are inclusive releases, `hidden` needs --show-hidden-metrics-for-version."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = LABELS
    buckets: Sequence[float] | None = None
    """None for a histogram over token counts: 1-2-5 steps up to max_model_len."""
    since: tuple[int, int, int] | None = None
    hidden: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None
    """From and until (exclusive) which release the family exists only for those who ask for hidden metrics."""
    until: tuple[int, int, int] | None = None
    """The first release without it."""

    def present(self, version: EngineVersion, show_hidden: str | None) -> bool:
        """Whether a server of this release writes the family."""
        if self.since is not None and version < EngineVersion(self.since):
            return False
        if self.until is not None and version >= EngineVersion(self.until):
            return False
        hidden = self.hidden is not None and EngineVersion(self.hidden[0]) <= version < EngineVersion(self.hidden[1])
        return not hidden or _asks_for(show_hidden, version)


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


def _latency(name: str, what: str) -> Family:
    return Family(name, "histogram", f"Histogram of {what} in seconds.", buckets=LATENCY)


def _tokens(name: str, what: str) -> Family:
    return Family(name, "histogram", what)


FAMILIES: Final = (
    Family("num_requests_running", "gauge", "Number of requests in model execution batches."),
    Family("num_requests_waiting", "gauge", "Number of requests waiting to be processed."),
    Family(
        "num_requests_waiting_by_reason",
        "gauge",
        "Number of waiting requests by reason.",
        (*LABELS, "reason"),
        since=(0, 20, 0),
    ),
    Family("engine_sleep_state", "gauge", "Engine sleep state.", (*LABELS, "sleep_state"), since=(0, 11, 1)),
    Family("kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage."),
    Family(
        "gpu_cache_usage_perc",
        "gauge",
        "GPU KV-cache usage. 1 means 100 percent usage.",
        hidden=((0, 11, 0), (0, 12, 0)),
        until=(0, 12, 0),
    ),
    Family("prefix_cache_queries", "counter", "Prefix cache queries, in terms of number of queried tokens."),
    Family("prefix_cache_hits", "counter", "Prefix cache hits, in terms of number of cached tokens."),
    Family("num_preemptions", "counter", "Cumulative number of preemption from the engine."),
    Family("prompt_tokens", "counter", "Number of prefill tokens processed."),
    Family("generation_tokens", "counter", "Number of generation tokens processed."),
    Family("request_success", "counter", "Count of successfully processed requests.", (*LABELS, "finished_reason")),
    Family(
        "admission_rejections",
        "counter",
        "Number of admission attempts rejected by a queue limit, by reason.",
        ("model_name", "reason"),
        since=(0, 32, 0),
    ),
    _tokens("request_prompt_tokens", "Number of prefill tokens processed."),
    _tokens("request_generation_tokens", "Number of generation tokens processed."),
    Family("iteration_tokens_total", "histogram", "Histogram of number of tokens per engine_step.", buckets=ITERATION),
    _tokens("request_max_num_generation_tokens", "Histogram of maximum number of requested generation tokens."),
    Family("request_params_n", "histogram", "Histogram of the n request parameter.", buckets=N),
    _tokens("request_params_max_tokens", "Histogram of the max_tokens request parameter."),
    Family("time_to_first_token_seconds", "histogram", "Histogram of time to first token in seconds.", buckets=TTFT),
    Family("inter_token_latency_seconds", "histogram", "Histogram of inter-token latency in seconds.", buckets=ITL),
    Family(
        "time_per_output_token_seconds",
        "histogram",
        "Histogram of time per output token in seconds. DEPRECATED: Use vllm:inter_token_latency_seconds instead.",
        buckets=ITL,
        hidden=((0, 12, 0), (0, 15, 0)),
        until=(0, 15, 0),
    ),
    Family(
        "request_time_per_output_token_seconds",
        "histogram",
        "Histogram of time_per_output_token_seconds per request.",
        buckets=ITL,
    ),
    _latency("e2e_request_latency_seconds", "e2e request latency"),
    _latency("request_queue_time_seconds", "time spent in WAITING phase for request"),
    _latency("request_inference_time_seconds", "time spent in RUNNING phase for request"),
    _latency("request_prefill_time_seconds", "time spent in PREFILL phase for request"),
    _latency("request_decode_time_seconds", "time spent in DECODE phase for request"),
    Family(
        "request_num_preemptions",
        "histogram",
        "Histogram of the number of times a request was preempted.",
        buckets=PREEMPTIONS,
        since=(0, 32, 0),
    ),
)

MAX_CONCURRENCY_SINCE: Final = EngineVersion((0, 24, 0))
SWAP_SPACE_UNTIL: Final = EngineVersion((0, 18, 0))

CACHE_CONFIG_EVER: Final = {
    # what every supported release has in vllm:cache_config_info, with what a CUDA server without flags says
    "cache_dtype": "auto",
    "is_attention_free": "False",
    "num_cpu_blocks": "None",
    "num_gpu_blocks_override": "None",
    "prefix_caching_hash_algo": "sha256",
    "sliding_window": "None",
}
CACHE_CONFIG_RECENT_SINCE: Final = EngineVersion((0, 32, 0))
CACHE_CONFIG_RECENT: Final = {
    # the rest of 0.32.0's labels
    "_block_size_resolved": "True",
    "cache_hit_alignment_tokens": "None",
    "enable_mamba_shared_prefix_checkpoint": "False",
    "hash_block_size": "None",
    "kv_cache_dtype_skip_layers": "[]",
    "kv_cache_layout": "None",
    "kv_offloading_backend": "native",
    "kv_offloading_size": "None",
    "kv_sharing_fast_prefill": "False",
    "mamba_block_size": "None",
    "mamba_cache_dtype": "auto",
    "mamba_cache_mode": "none",
    "mamba_page_size_padded": "None",
    "mamba_ssm_cache_dtype": "auto",
    "prefix_cache_retention_interval": "0",
    "prefix_match_unit": "None",
    "replayssm_buffer_len": "16",
    "skip_page_size_padded": "None",
    "swa_bounded_replay": "True",
    "use_kda_recoverssm": "False",
    "use_replayssm": "False",
    "user_specified_block_size": "False",
}
