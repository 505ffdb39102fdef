"""Where an engine finds LoRA adapters, and what its guard is told about them."""

from typing import Any, Final

from slmfleet.api.slmdeployment import SLMDeploymentSpec

from .container import PVC_MOUNT, local_claim
from .version import EngineVersion

RUNTIME_UPDATES: Final = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
"""Opens vLLM's routes that load and unload adapters (vllm/envs.py); the guard lets nobody through to them."""
FOLDER: Final = "adapters"
"""The folder of the claim that holds fetched adapters, each below the digest of its files."""
MOUNT: Final = "/adapters"
IMAGE_ROOT: Final = "/opt/adapters"
"""Where adapters lie that are part of the engine's image: the guard reads nothing else of the image."""
LOADS_BESIDE_REQUESTS_SINCE: Final = EngineVersion((0, 26, 0))
TABLE_FOLDER: Final = "/etc/slmfleet-adapters"
TABLE_FILE: Final = "table.json"
_SERVERS: Final = ("--api-server-count", "--api_server_count", "-asc")


def enabled(spec: SLMDeploymentSpec) -> bool:
    """Whether adapters can be loaded into running engines: by the guard, into the one API server that vLLM allows."""
    several = any(word.partition("=")[0] in _SERVERS for word in spec.engine.extra_args or ())
    return spec.engine.lora is not None and spec.guard.enabled and not several


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
