"""What releases and platforms of vLLM can do, where no list of flags says it.

Read from the sources of all releases from 0.11.0 to 0.33.0; each fact names the file that shows it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from .releases import Span
from .version import EngineVersion


def _release(text: str) -> EngineVersion:
    return EngineVersion.parse(text)


@dataclass(frozen=True)
class Plugin:
    """Something that left vLLM and lives on as a package of its own."""

    last_in_vllm: str
    package: str


PLUGINS: Final[Mapping[str, Plugin]] = {
    "gguf": Plugin("0.23.0", "vllm-gguf-plugin"),
    "bitsandbytes": Plugin("0.27.1", "vllm-bnb-plugin"),
}
"""Quantizations and load formats (vllm#39612, vllm#43529)."""

GPU_ONLY_QUANTIZATIONS: Final = frozenset({"gguf", "bitsandbytes"})
"""No kernels for CPUs: docs/features/quantization/README.md."""

BFLOAT16_CAPABILITY: Final = (8, 0)
"""CUDA compute capability (platforms/cuda.py, check_if_supports_dtype)."""
FP8_CAPABILITY: Final = (8, 9)
"""With FP8 arithmetic (platforms/cuda.py, supports_fp8)."""

GGUF_FROM_HUB_SINCE: Final = _release("0.12.0")
"""repo:quant as a model's name (transformers_utils, is_remote_gguf); 0.11 takes local files only."""
DRAFT_MODEL_SINCE: Final = _release("0.15.0")
"""Before, config/speculative.py raises NotImplementedError for a draft model."""
LMCACHE_SERVER_SINCE: Final = _release("0.23.0")
"""From here on --kv-offloading-backend lmcache wants a separate LMCache server (config/vllm.py); the connector that
keeps the blocks in the engine's own process is chosen by --kv-transfer-config."""
CPU_MEMORY_SHARE_SINCE: Final = _release("0.20.0")
"""CPU builds size the KV cache by --gpu-memory-utilization and --kv-cache-memory-bytes (v1/worker/cpu_worker.py);
before by VLLM_CPU_KVCACHE_SPACE alone."""
CPU_CACHE_DTYPE_SINCE: Final = _release("0.15.0")
"""Before, platforms/cpu.py refuses everything but auto."""
CPU_FP8_CACHE_SINCE: Final = _release("0.21.0")
"""v1/attention/backends/cpu_attn.py; before, platforms/cpu.py refuses it, or falls back with a warning."""
CPU_CACHE_DTYPES: Final = frozenset({"auto", "float16", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2"})

_MIN_CAPABILITY: Final[Mapping[str, tuple[tuple[str, tuple[int, int]], ...]]] = {
    "awq": (("0.11.0", (7, 5)),),
    "awq_marlin": (("0.11.0", (8, 0)), ("0.14.0", (7, 5))),
    "gptq": (("0.11.0", (6, 0)),),
    "gptq_marlin": (("0.11.0", (8, 0)), ("0.14.0", (7, 5)), ("0.22.0", (6, 0))),
    "fp8": (("0.11.0", (8, 0)), ("0.14.0", (7, 5))),
    "fbgemm_fp8": (("0.11.0", (8, 0)),),
    "modelopt": (("0.11.0", (8, 9)), ("0.27.0", (8, 0))),
    "modelopt_fp4": (("0.11.0", (8, 0)), ("0.14.0", (7, 5))),
    "modelopt_mxfp8": (("0.16.0", (10, 0)), ("0.20.0", (8, 0))),
    "modelopt_mixed": (("0.17.0", (8, 9)), ("0.24.0", (7, 5))),
    "fp_quant": (("0.11.1", (10, 0)),),
    "mxfp4": (("0.11.0", (8, 0)),),
    "mxfp8": (("0.19.0", (10, 0)), ("0.24.0", (8, 0))),
    "gguf": (("0.11.0", (6, 0)),),
    "bitsandbytes": (("0.11.0", (7, 0)),),
    "compressed-tensors": (("0.11.0", (7, 0)),),
    "experts_int8": (("0.11.0", (8, 0)),),
    "moe_wna16": (("0.11.0", (7, 0)),),
    "quark": (("0.11.0", (7, 0)),),
    "torchao": (("0.11.0", (7, 5)),),
    "humming": (("0.20.0", (7, 5)),),
}
"""get_min_capability of each method in model_executor/layers/quantization, from the release on."""


def min_capability(quantization: str, version: EngineVersion) -> tuple[int, int] | None:
    """The least CUDA compute capability that a quantization needs; None where nothing is known."""
    known = _MIN_CAPABILITY.get(quantization, ())
    return next((need for since, need in reversed(known) if _release(since).release <= version.release), None)


_ROCM_FROM_THE_START: Final = ("awq", "gptq", "fp8", "compressed-tensors", "fbgemm_fp8", "quark", "mxfp4", "torchao")
_ROCM_QUANTIZATIONS: Final[Mapping[str, Span]] = {
    **dict.fromkeys(_ROCM_FROM_THE_START, Span()),
    "gguf": Span(until="0.23.0"),
    "ptpc_fp8": Span(until="0.18.1"),
    "petit_nvfp4": Span(until="0.19.1"),
    "awq_marlin": Span("0.14.0"),
    "gptq_marlin": Span("0.14.0", "0.24.0"),
    "bitsandbytes": Span("0.17.0", "0.27.1"),
    **dict.fromkeys(("gpt_oss_mxfp4", "modelopt_fp4"), Span("0.20.0")),
    **dict.fromkeys(
        ("deepseek_v4_fp8", "fp8_per_block", "fp8_per_tensor", "modelopt", "modelopt_mixed", "modelopt_mxfp8", "mxfp8"),
        Span("0.21.0"),
    ),
    "online": Span("0.21.0"),
    "auto_gptq": Span("0.22.0"),
    **dict.fromkeys(("auto_awq", "fp8_per_channel"), Span("0.24.0")),
    "inc": Span("0.28.0"),
}
"""supported_quantization of platforms/rocm.py; another one ends the start."""


def rocm_quantizations(version: EngineVersion) -> Iterable[str]:
    """What a ROCm build loads."""
    return sorted(name for name, span in _ROCM_QUANTIZATIONS.items() if span.holds(version))


MTP_METHODS: Final = frozenset({"mtp", "deepseek_mtp", "ernie_mtp", "qwen3_next_mtp", "mimo_mtp", "longcat_flash_mtp"})
SPECULATIVE_METHODS: Final[Mapping[str, Span]] = {
    **dict.fromkeys(("ngram", "eagle", "eagle3", *MTP_METHODS), Span()),
    "medusa": Span(until="0.32.0"),
    "mlp_speculator": Span(until="0.32.0"),
    "draft_model": Span("0.15.0"),
    "suffix": Span("0.11.1"),
    "ngram_gpu": Span("0.18.0"),
    "dflash": Span("0.20.0"),
    "dspark": Span("0.25.0"),
}
"""SpeculativeMethod in config/speculative.py, without those that only tests or plug-ins use; a model's own `..._mtp`
names that came later mean mtp."""
