"""The parts of the engine pod that several sources add to: environment, resources, volumes, affinity."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, Final

from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.pod import ExtraVolume
from slmfleet.api.quantities import GIB, in_bytes
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.names import Names
from slmfleet.core.types import Manifest
from slmfleet.engine.container import PVC_MOUNT, local_claim
from slmfleet.engine.resolution import HostMemory, MountedFile, Resolution, Variable

from .adapter_volume import adapter_claim, adapter_mounts, adapter_volumes

CACHE: Final = "/cache"
DEFAULT_REQUESTS: Final = {"cpu": 1, "memory_gi": 4}
SHM_SIZE: Final = {"cuda": 2 * GIB, "rocm": 8 * GIB, "cpu": 2 * GIB}
"""Size limits of /dev/shm, over which tensor-parallel workers talk (the engine project's own Kubernetes guide)."""


def environment(spec: SLMDeploymentSpec, variables: Iterable[Variable], budget: int) -> list[Manifest]:
    """The engine's variables; the user's entries win over ours, by name."""
    own: dict[str, Manifest] = {
        # An arbitrary uid has no passwd entry: libraries that ask for the user's name or home die without these.
        "HOME": {"value": "/tmp"},  # noqa: S108 - an emptyDir of the pod
        "USER": {"value": "vllm"},
        "HF_HOME": {"value": f"{CACHE}/huggingface"},
        # Compiled code stays in the pod: replicas that share it have corrupted it for each other.
        "VLLM_CACHE_ROOT": {"value": "/tmp/vllm"},  # noqa: S108 - an emptyDir of the pod
        "VLLM_ENGINE_READY_TIMEOUT_S": {"value": str(budget)},
        "VLLM_NO_USAGE_STATS": {"value": "1"},
        "DO_NOT_TRACK": {"value": "1"},
        "HF_HUB_DISABLE_TELEMETRY": {"value": "1"},
    }
    own |= {variable.name: _source(variable) for variable in variables}
    for entry in spec.pod.env or []:
        own[entry.name] = {k: v for k, v in entry.to_manifest().items() if k != "name"}
    return [{"name": name, **source} for name, source in own.items()]


def _source(variable: Variable) -> Manifest:
    if variable.secret is None:
        return {"value": variable.value}
    return {"valueFrom": {"secretKeyRef": {"name": variable.secret.name, "key": variable.secret.key}}}


def resources(
    spec: SLMDeploymentSpec, accelerator: AcceleratorClassSpec, host_memory: Iterable[HostMemory]
) -> Manifest:
    """The GPUs that the parallelism needs, and CPU and memory as the user says.

    Else one core and 4Gi per GPU, and what the engine keeps in host memory.
    """
    tensor = spec.parallelism.tensor
    wanted = spec.pod.resources
    requests: dict[str, str] = {
        "cpu": str(DEFAULT_REQUESTS["cpu"] * tensor),
        "memory": in_bytes(DEFAULT_REQUESTS["memory_gi"] * GIB * tensor + sum(part.size for part in host_memory)),
    }
    limits: dict[str, str] = {}
    if wanted is not None:
        # A limit below a default request would be refused, so a limit alone sets the request too, as Kubernetes does.
        requests |= (wanted.limits or {}) | (wanted.requests or {})
        limits |= wanted.limits or {}
    if accelerator.resource_name is not None:
        requests[accelerator.resource_name] = limits[accelerator.resource_name] = str(tensor)
    return {"requests": requests} | ({"limits": limits} if limits else {})


def volumes(
    names: Names,
    spec: SLMDeploymentSpec,
    accelerator: AcceleratorClassSpec,
    resolution: Resolution,
    more: Iterable[Manifest],
) -> list[Manifest]:
    """Writable directories (the root is read-only), the model's volume, the engine's files, `more`, and the user's."""
    cache = spec.model.cache
    shared = SHM_SIZE[accelerator.platform] + sum(part.size for part in resolution.host_memory if part.shared)
    own: list[Manifest] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": in_bytes(shared)}},
        {"name": "cache", "emptyDir": {}}
        if cache is None
        else {"name": "cache", "persistentVolumeClaim": {"claimName": cache.claim_name or names.cache_claim}},
    ]
    adapters = adapter_claim(names, spec)
    if (claim := local_claim(spec.model.uri)) is not None:
        # The kubelet makes the adapters' folder where it is missing: it must be able to write then.
        read_only = {} if claim == adapters else {"readOnly": True}
        own.append({"name": "model", "persistentVolumeClaim": {"claimName": claim, **read_only}})
    own += adapter_volumes(names, spec)
    files = map(_file_volume, resolution.files)
    return [*own, *files, *more, *(_volume(extra) for extra in spec.pod.volumes or [])]


def mounts(
    names: Names, spec: SLMDeploymentSpec, files: Iterable[MountedFile], more: Iterable[Manifest]
) -> list[Manifest]:
    """Where the engine sees the volumes."""
    own: list[Manifest] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - an emptyDir of the pod
        {"name": "cache", "mountPath": CACHE},
    ]
    if local_claim(spec.model.uri) is not None:
        own.append({"name": "model", "mountPath": PVC_MOUNT, "readOnly": True})
    own += adapter_mounts(names, spec)
    own += [{"name": _folder(file).name, "mountPath": str(_folder(file)), "readOnly": True} for file in files]
    users = [
        {"name": _volume_name(extra), "mountPath": extra.mount_path, "readOnly": extra.read_only}
        for extra in spec.pod.volumes or []
    ]
    return [*own, *more, *users]


def affinity(names: Names, spec: SLMDeploymentSpec, accelerator: AcceleratorClassSpec) -> Manifest:
    """Where the pods go unless the user says otherwise, and always the nodes that have the accelerator.

    Apart, softly; but onto one node where they share a cache that only one node can mount.
    """
    overlay = spec.pod
    if overlay.affinity is not None:
        result: dict[str, Any] = dict(overlay.affinity)
    else:
        result = _together(names) if shares_one_node(spec) else _apart(names)
    if not accelerator.node_terms:
        return result
    terms = [term.to_manifest() for term in accelerator.node_terms]
    node = dict(result.get("nodeAffinity") or {})
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    theirs = (node.get(required) or {}).get("nodeSelectorTerms") or [{}]
    # Terms are alternatives, expressions inside one must all hold: (a or b) and (c or d) is ac, ad, bc, bd.
    node[required] = {"nodeSelectorTerms": [_both(a, b) for a in terms for b in theirs]}
    return result | {"nodeAffinity": node}


def shares_one_node(spec: SLMDeploymentSpec) -> bool:
    """Whether the operator's own cache claim can be mounted by one node only."""
    cache = spec.model.cache
    return cache is not None and cache.size is not None and (cache.access_mode or "ReadWriteOnce") == "ReadWriteOnce"


def _both(a: Manifest, b: Manifest) -> Manifest:
    return {key: [*a.get(key, []), *b.get(key, [])] for key in sorted({*a, *b})}


def _term(names: Names) -> Manifest:
    return {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": names.selector}}


def _apart(names: Names) -> Manifest:
    preferred = [{"weight": 100, "podAffinityTerm": _term(names)}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def _together(names: Names) -> Manifest:
    # The first pod of all finds no other and may go anywhere, since it matches the term itself.
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_term(names)]}}


def _folder(file: MountedFile) -> PurePosixPath:
    return PurePosixPath(file.path).parent


def _file_volume(file: MountedFile) -> Manifest:
    items = [{"key": file.source.key, "path": PurePosixPath(file.path).name}]
    return {"name": _folder(file).name, "configMap": {"name": file.source.name, "items": items}}


def _volume_name(extra: ExtraVolume) -> str:
    return f"extra-{extra.name}"  # the user's "tmp" must not meet ours


def _volume(extra: ExtraVolume) -> Manifest:
    source = {k: v for k, v in extra.to_manifest().items() if k not in {"name", "mountPath", "readOnly"}}
    return {"name": _volume_name(extra), **source}
