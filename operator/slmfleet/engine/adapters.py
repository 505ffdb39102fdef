"""Where an engine finds LoRA adapters, and what its guard is told about them."""

from collections.abc import Iterable
from typing import Any, Final

from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.slmdeployment import SLMDeploymentSpec

from .container import PVC_MOUNT, local_claim
from .releases import Span
from .version import EngineVersion

RUNTIME_UPDATES: Final = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
"""Opens vLLM's routes that load and unload adapters (vllm/envs.py); the guard lets nobody through to them."""
FOLDER: Final = "adapters"
"""The folder of the claim that holds fetched adapters, each below the digest of its files."""
MOUNT: Final = "/adapters"
IMAGE_ROOT: Final = "/opt/adapters"
"""Where adapters lie that are part of the engine's image: the guard reads nothing else of the image."""
LOADS_BESIDE_REQUESTS_SINCE: Final = EngineVersion((0, 26, 0))
PATTERNS: Final = ("rank_pattern", "alpha_pattern")
"""Features of PEFT that releases before PATTERNS_SINCE leave out without a word: the answers would be wrong."""
PATTERNS_SINCE: Final = EngineVersion((0, 32, 0))
"""From vllm/lora/peft_helper.py of each release from 0.11.0 to 0.33.0; other features are served by none of them."""
HEADS: Final = ("classifier", "score")
HEADS_SINCE: Final = EngineVersion((0, 31, 0))
"""modules_to_save may be these, of classification models."""
FP8_EXPERTS_WRONG: Final = Span("0.20.0", "0.23.0")
"""Releases that give adapters of a mixture's experts the activations as they are quantized to FP8: the answers are
gibberish (vllm#42007, 0.19.0 was right; fixed by vllm#42120, whose lora_x is in triton_moe.py of 0.24.0)."""
TABLE_FOLDER: Final = "/etc/slmfleet-adapters"
TABLE_FILE: Final = "table.json"
_SERVERS: Final = ("--api-server-count", "--api_server_count", "-asc")


def enabled(spec: SLMDeploymentSpec) -> bool:
    """Whether adapters can be loaded into running engines: by the guard, into the one API server that vLLM allows."""
    several = any(word.partition("=")[0] in _SERVERS for word in spec.engine.extra_args or ())
    return spec.engine.lora is not None and spec.guard.enabled and not several


def unserved(features: Iterable[str], modules_to_save: Iterable[str], release: EngineVersion) -> list[str]:
    """What of an adapter the release of vLLM refuses or, worse, leaves out, in the words of its configuration."""
    found = [
        f"{feature}, which vLLM serves since {PATTERNS_SINCE}" if feature in PATTERNS else feature
        for feature in features
        if feature not in PATTERNS or release < PATTERNS_SINCE
    ]
    heads = HEADS if release >= HEADS_SINCE else ()
    saved = [module for module in modules_to_save if module not in heads]
    return [*found, *([f"modules_to_save {', '.join(saved)}"] if saved else [])]


def spoils_experts(spec: SLMDeploymentSpec, accelerator: AcceleratorClassSpec) -> bool:
    """Whether adapters that change a mixture's experts are answered with wrong numbers.

    Only a GPU with FP8 computes in it; others keep the activations (Marlin).
    """
    in_fp8 = spec.engine.quantization == "fp8" and accelerator.fp8_tflops is not None
    return in_fp8 and FP8_EXPERTS_WRONG.holds(EngineVersion.parse(spec.engine.version))


def guard_config(spec: SLMDeploymentSpec) -> dict[str, Any]:
    """The key "adapters" of the guard's configuration.

    `hold`: up to 0.25 vLLM may answer a running request with another adapter's weights while one is loaded
    (vllm#47724), so a load waits for LoRA requests in flight. Fixed by vllm#47725: the releases' model_manager.py
    has _last_slot_layout from 0.26.0 on.
    """
    hold = EngineVersion.parse(spec.engine.version) < LOADS_BESIDE_REQUESTS_SINCE
    return {"table": f"{TABLE_FOLDER}/{TABLE_FILE}", "roots": roots(spec), "hold": hold}


def roots(spec: SLMDeploymentSpec) -> list[str]:
    """The folders that adapters may lie in, as the engine sees them."""
    return [MOUNT, IMAGE_ROOT, *([PVC_MOUNT] if local_claim(spec.model.uri) is not None else [])]
