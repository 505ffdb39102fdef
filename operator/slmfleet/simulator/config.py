"""From parsed flags to what the engine runs with, or to the words with which vLLM refuses it (exit code 1)."""

import argparse
import os.path
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from slmfleet.engine.flags import FlagTable
from slmfleet.engine.version import EngineVersion

from .adapters import Limits
from .settings import Settings

T = TypeVar("T")
GIB: Final = 2**30
DEFAULT_MODEL: Final = "Qwen/Qwen3-0.6B"
DEFAULT_MODEL_LEN: Final = 32768
DEFAULT_BLOCK_SIZE: Final = 16
"""Tokens per KV-cache block on CUDA."""
DEFAULT_MAX_NUM_SEQS: Final = 256
DEFAULT_MAX_NUM_BATCHED_TOKENS: Final = 2048
_UTILIZATION_092_SINCE: Final = EngineVersion((0, 20, 0))
_RESERVES_SINCE: Final = EngineVersion((0, 19, 0))
_TYPICAL_KV_BYTES: Final = 131072
"""KV-cache bytes per token where no config.json tells them: 32 layers, 8 KV heads of 128, two bytes."""


class ConfigError(Exception):
    """A configuration that vLLM refuses; `where` says at which stage, which decides the log around the message."""

    def __init__(self, message: str, where: str = "ModelConfig") -> None:
        super().__init__(message)
        self.where = where


@dataclass(frozen=True)
class ModelFacts:
    """What the simulator takes from a model's config.json."""

    max_len: int = DEFAULT_MODEL_LEN
    attention_heads: int | None = None
    kv_bytes_per_token: int = _TYPICAL_KV_BYTES

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "ModelFacts":
        """From a Hugging Face config.json; missing fields take the defaults."""
        heads = config.get("num_attention_heads")
        layers, kv_heads = config.get("num_hidden_layers"), config.get("num_key_value_heads", heads)
        kv_bytes = _TYPICAL_KV_BYTES
        if heads and layers and kv_heads:
            head_dim = config.get("head_dim") or config.get("hidden_size", 128 * heads) // heads
            kv_bytes = 2 * layers * kv_heads * head_dim * 2
        return cls(int(config.get("max_position_embeddings", DEFAULT_MODEL_LEN)), heads, kv_bytes)


@dataclass(frozen=True)
class EngineConfig:
    """The engine and its server, with every default filled in."""

    model: str
    served_names: tuple[str, ...]
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    block_size: int
    num_blocks: int
    kv_bytes_per_token: int
    gpu_memory_utilization: float
    prefix_caching: bool
    reserve_full_prompt: bool
    max_queued_requests: int | None
    max_queued_tokens: int | None
    shutdown_timeout: float
    """Seconds that requests in flight get after SIGTERM; 0 aborts them."""
    track_load: bool
    lora: Limits | None
    """None without --enable-lora."""
    runtime_adapters: bool
    """Whether there are routes to load adapters."""

    @property
    def kv_tokens(self) -> int:
        """Tokens that the KV cache holds."""
        return self.num_blocks * self.block_size

    @property
    def max_concurrency(self) -> float:
        """Requests of full length that the KV cache holds at once."""
        return self.kv_tokens / self.max_model_len


def resolve(
    args: argparse.Namespace,
    facts: ModelFacts,
    settings: Settings,
    version: EngineVersion,
    environment: Mapping[str, str],
) -> EngineConfig:
    """The engine that `args` describe. Raises ConfigError as vLLM would end with exit code 1."""
    _check_flags(args, facts, version, environment)
    block_size = args.block_size or DEFAULT_BLOCK_SIZE
    num_blocks = args.num_gpu_blocks_override or settings.kv_blocks
    max_model_len = _max_model_len(args.max_model_len, facts, num_blocks * block_size, environment)
    _check_kv_cache(max_model_len, num_blocks * block_size, block_size, facts)
    max_num_seqs = _given(args.max_num_seqs, DEFAULT_MAX_NUM_SEQS)
    batched = _given(args.max_num_batched_tokens, max(DEFAULT_MAX_NUM_BATCHED_TOKENS, max_num_seqs))
    if batched < max_num_seqs:
        raise ConfigError(
            f"max_num_batched_tokens ({batched}) must be greater than or equal to max_num_seqs ({max_num_seqs}).",
            "SchedulerConfig",
        )
    model = args.model or DEFAULT_MODEL
    return EngineConfig(
        model=model,
        served_names=tuple(args.served_model_name or [model]),
        max_model_len=max_model_len,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=batched,
        block_size=block_size,
        num_blocks=num_blocks,
        kv_bytes_per_token=facts.kv_bytes_per_token,
        gpu_memory_utilization=_given(args.gpu_memory_utilization, 0.92 if version >= _UTILIZATION_092_SINCE else 0.9),
        prefix_caching=args.enable_prefix_caching is not False,
        reserve_full_prompt=version >= _RESERVES_SINCE and args.scheduler_reserve_full_isl is not False,
        max_queued_requests=getattr(args, "max_num_queued_reqs", None),
        max_queued_tokens=getattr(args, "max_num_queued_tokens", None),
        shutdown_timeout=float(getattr(args, "shutdown_timeout", None) or 0),
        track_load=bool(args.enable_server_load_tracking),
        lora=_lora(args, settings),
        runtime_adapters=environment.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "").lower() in {"1", "true"},
    )


def _lora(args: argparse.Namespace, settings: Settings) -> Limits | None:
    if not args.enable_lora:
        return None
    cached = _given(args.max_cpu_loras, _given(args.max_loras, 1))
    return Limits(_given(args.max_lora_rank, 16), cached, settings.lora_load_seconds)


def _given(value: T | None, default: T) -> T:
    return default if value is None else value


def _check_flags(
    args: argparse.Namespace, facts: ModelFacts, version: EngineVersion, environment: Mapping[str, str]
) -> None:
    port = environment.get("VLLM_PORT", "")
    if "://" in port:
        raise ConfigError(
            f"VLLM_PORT '{port}' appears to be a URI. This may be caused by a Kubernetes service discovery issue,"
            "check the warning in: https://docs.vllm.ai/en/latest/configuration/env_vars.html",
            "environment",
        )
    if args.enable_auto_tool_choice and not args.tool_call_parser:
        raise ConfigError("Error: --enable-auto-tool-choice requires --tool-call-parser", "arguments")
    known = FlagTable.load().for_version(version).values("--quantization") or ()
    if args.quantization is not None and args.quantization not in known:
        raise ConfigError(f"Unknown quantization method: {args.quantization}. Must be one of {list(known)}.")
    parallel = args.tensor_parallel_size or 1
    if facts.attention_heads is not None and facts.attention_heads % parallel != 0:
        raise ConfigError(
            f"Total number of attention heads ({facts.attention_heads}) must be divisible by tensor parallel size "
            f"({parallel}).",
            "VllmConfig",
        )


def _max_model_len(wanted: int | None, facts: ModelFacts, kv_tokens: int, environment: Mapping[str, str]) -> int:
    if wanted is None:
        return facts.max_len
    if wanted == -1:
        return min(facts.max_len, kv_tokens)
    if wanted > facts.max_len and environment.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") != "1":
        raise ConfigError(
            f"User-specified max_model_len ({wanted}) is greater than the derived max_model_len "
            f"(max_position_embeddings={float(facts.max_len)} or model_max_length=None in model's config.json). To "
            "allow overriding this maximum, set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1. "
            "VLLM_ALLOW_LONG_MAX_MODEL_LEN must be used with extreme caution. If the model uses relative position "
            "encoding (RoPE), positions exceeding derived_max_model_len lead to nan. If the model uses absolute "
            "position encoding, positions exceeding derived_max_model_len will cause a CUDA array out-of-bounds error."
        )
    return wanted


def _check_kv_cache(max_model_len: int, kv_tokens: int, block_size: int, facts: ModelFacts) -> None:
    if kv_tokens >= max_model_len:
        return
    needed, available = (tokens * facts.kv_bytes_per_token / GIB for tokens in (max_model_len, kv_tokens))
    longest = kv_tokens // block_size * block_size
    raise ConfigError(
        f"To serve at least one request with the model's max seq len ({max_model_len}), ({needed:.2f} GiB KV cache is "
        f"needed, which is larger than the available KV cache memory ({available:.2f} GiB). Based on the available "
        f"memory, the estimated maximum model length is {longest}. Try increasing `gpu_memory_utilization` (which also "
        "controls CPU memory on the CPU backend) or decreasing `max_model_len` when initializing the engine. See "
        "https://docs.vllm.ai/en/latest/configuration/conserving_memory/ for more details.",
        "engine core",
    )


def config_json_path(model: str | None) -> str | None:
    """Where the model's config.json is if `model` is a directory's path; a hub name has none here."""
    return os.path.join(model, "config.json") if model is not None and model.startswith("/") else None  # noqa: PTH118


def api_keys(args: argparse.Namespace, environment: Mapping[str, str]) -> Sequence[str]:
    """The keys that guard /v1: --api-key, else VLLM_API_KEY."""
    return [key for key in (args.api_key or [environment.get("VLLM_API_KEY", "")]) if key]
