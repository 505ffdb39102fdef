"""The volume of the adapters in an engine's pod, and the table of those that a starting engine loads."""

from typing import Final

from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.names import Names
from slmfleet.core.types import Manifest
from slmfleet.engine.adapters import FOLDER, MOUNT, TABLE_FOLDER, enabled
from slmfleet.engine.container import local_claim

VOLUME: Final = "adapters"
TABLE_VOLUME: Final = "adapter-table"


def adapter_claim(names: Names, spec: SLMDeploymentSpec) -> str | None:
    """The claim that holds fetched adapters; None where there is none, or nobody would read it."""
    if not enabled(spec):
        return None
    assert spec.engine.lora is not None
    if spec.engine.lora.claim_name is not None:
        return spec.engine.lora.claim_name
    cache = spec.model.cache
    return None if cache is None else cache.claim_name or names.cache_claim


def adapter_volumes(names: Names, spec: SLMDeploymentSpec) -> list[Manifest]:
    """The claim, unless the pod has it anyway, and the table, which may be missing."""
    if not enabled(spec):
        return []
    claim, volume = adapter_claim(names, spec), _volume(names, spec)
    table = {"name": TABLE_VOLUME, "configMap": {"name": names.adapter_table, "optional": True}}
    return [*([{"name": VOLUME, "persistentVolumeClaim": {"claimName": claim}}] if volume == VOLUME else []), table]


def adapter_mounts(names: Names, spec: SLMDeploymentSpec) -> list[Manifest]:
    """Where the engine sees them, read-only."""
    if not enabled(spec):
        return []
    volume = _volume(names, spec)
    files = {"name": volume, "mountPath": MOUNT, "subPath": FOLDER, "readOnly": True}
    # The whole folder and not one key of it: a file under a subPath never changes in a running pod.
    table = {"name": TABLE_VOLUME, "mountPath": TABLE_FOLDER, "readOnly": True}
    return [*([] if volume is None else [files]), table]


def loads_adapters(template: Manifest) -> bool:
    """Whether a pod template, or a pod, is made for adapters: those rendered before are not."""
    return any(volume["name"] == TABLE_VOLUME for volume in template.get("spec", {}).get("volumes") or [])


def _volume(names: Names, spec: SLMDeploymentSpec) -> str | None:
    """The pod's volume that is the claim: one claim in two volumes of a pod can keep it from starting."""
    claim, cache = adapter_claim(names, spec), spec.model.cache
    if claim is None:
        return None
    if cache is not None and claim == (cache.claim_name or names.cache_claim):
        return "cache"
    return "model" if claim == local_claim(spec.model.uri) else VOLUME
