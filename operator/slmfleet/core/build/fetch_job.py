"""The Job that fetches an adapter into the volume that the engines read."""

from typing import Any, Final

from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.base import API_VERSION
from slmfleet.api.loraadapter import KIND, AdapterSource
from slmfleet.api.quantities import size
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.names import ADAPTER, Names
from slmfleet.core.types import Manifest
from slmfleet.engine.adapters import FOLDER, MOUNT

from .pod import scheduling, security_context

DEADLINE_SECONDS: Final = 3600
RETRIES: Final = 3
FINAL_EXIT_CODES: Final = (2, 3)
"""Exit codes of the fetcher that another attempt would not change (fetcher/errors.py)."""
CONTAINER: Final = "fetch"
_CREDENTIALS: Final = "/credentials"
_DIGEST: Final = "--digest"


def adapter_metadata(names: Names, adapter: Manifest, name: str) -> dict[str, Any]:
    """Metadata of an object that goes with its LoRAAdapter."""
    metadata = names.metadata(name, owned=False, labels={ADAPTER: adapter["metadata"]["name"]})
    if uid := adapter["metadata"].get("uid"):
        owner = {"apiVersion": API_VERSION, "kind": KIND, "name": adapter["metadata"]["name"], "uid": uid}
        metadata["ownerReferences"] = [owner | {"controller": True, "blockOwnerDeletion": False}]
    return metadata


def fetch_job(
    names: Names,
    spec: SLMDeploymentSpec,
    accelerator: AcceleratorClassSpec,
    adapter: Manifest,
    source: AdapterSource,
    *,
    name: str,
    claim: str,
    image: str,
) -> Manifest:
    """One fetch. It stays when it is done: its pod has the last word about the files, and deleting it fetches again."""
    never = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": list(FINAL_EXIT_CODES)}}]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": adapter_metadata(names, adapter, name),
        "spec": {
            "backoffLimit": RETRIES,
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "podFailurePolicy": {"rules": never},
            "template": {
                # Neither the fleet's label nor the operator's: nothing that selects engines may select this pod.
                "metadata": {
                    "labels": {
                        "app.kubernetes.io/name": "slmfleet-fetcher",
                        "app.kubernetes.io/component": "fetcher",
                        ADAPTER: adapter["metadata"]["name"],
                    }
                },
                "spec": _pod(names, spec, accelerator, source, claim, image),
            },
        },
    }


def wanted_digest(job: Manifest) -> str | None:
    """The digest that a Job was made to fetch; None for one that takes whatever is there."""
    words = [word for c in job["spec"]["template"]["spec"]["containers"] for word in c.get("args") or ()]
    return str(words[words.index(_DIGEST) + 1]) if _DIGEST in words else None


def _pod(
    names: Names,
    spec: SLMDeploymentSpec,
    accelerator: AcceleratorClassSpec,
    source: AdapterSource,
    claim: str,
    image: str,
) -> Manifest:
    overlay = spec.pod
    volumes: list[Manifest] = [
        {"name": "adapters", "persistentVolumeClaim": {"claimName": claim}},
        {"name": "tmp", "emptyDir": {}},
    ]
    if source.secret_ref is not None:
        secret: Manifest = {"secretName": source.secret_ref.name, "defaultMode": 0o440}
        if source.secret_ref.keys:
            secret["items"] = [{"key": key, "path": path} for path, key in sorted(source.secret_ref.keys.items())]
        volumes.append({"name": "credentials", "secret": secret})
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": names.selector}}
    shared = {key: value for key, value in scheduling(overlay, accelerator).items() if key in _SHARED}
    return {
        "restartPolicy": "Never",
        "serviceAccountName": overlay.service_account_name or names.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security_context(overlay),
        # Beside the engines where that is possible: their claim may be one that a single node can mount.
        "affinity": {
            "podAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
            }
        },
        "containers": [_container(source, image)],
        "volumes": volumes,
        **shared,
    }


_SHARED: Final = frozenset({"tolerations", "imagePullSecrets"})


def _container(source: AdapterSource, image: str) -> Manifest:
    args = ["--uri", source.uri, "--root", MOUNT, "--max-bytes", str(size(source.max_size))]
    args += [] if source.revision is None else ["--revision", source.revision]
    args += [] if source.digest is None else [_DIGEST, source.digest]
    mounts: list[Manifest] = [
        {"name": "adapters", "mountPath": MOUNT, "subPath": FOLDER},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod
    ]
    if source.secret_ref is not None:
        args += ["--credentials", _CREDENTIALS]
        mounts.append({"name": "credentials", "mountPath": _CREDENTIALS, "readOnly": True})
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "slmfleet.fetcher"],
        "args": args,
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - an emptyDir of the pod
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": mounts,
    }
