"""The objects of the benchmark, and the adapters' files."""

import hashlib
import json
from pathlib import Path
from typing import Final

from slmfleet.api.base import API_VERSION
from slmfleet.api.loraadapter import KIND
from slmfleet.core.names import DEPLOYMENT, MANAGED_BY, MANAGER
from slmfleet.kube.resources import Manifest

NAMESPACE: Final = "chat"
NAME: Final = "support"
MODEL: Final = "Qwen/Qwen3-8B"
SLOTS: Final = 512
"""Adapters that an engine keeps (--max-cpu-loras): more than the benchmark ever has."""

FLEET: Final[Manifest] = {
    "apiVersion": API_VERSION,
    "kind": "SLMDeployment",
    "metadata": {"name": NAME, "namespace": NAMESPACE},
    "spec": {
        "model": {"uri": f"hf://{MODEL}"},
        "engine": {"version": "0.32.0", "lora": {"maxAdapters": 8, "maxCpuAdapters": SLOTS}},
        "accelerator": {"class": "nvidia-l4"},
    },
}
ENGINE: Final[Manifest] = {"name": "engine", "args": ["--max-loras", "8", "--max-cpu-loras", str(SLOTS)]}
"""The engine of a replica; its arguments tell what room it has."""


def pod(number: int, address: str) -> Manifest:
    """A ready replica, as the kubelet tells of it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{NAME}-{number:02}",
            "namespace": NAMESPACE,
            "labels": {MANAGED_BY: MANAGER, DEPLOYMENT: NAME},
        },
        "spec": {"volumes": [{"name": "adapter-table"}], "serviceAccountName": NAME, "containers": [ENGINE]},
        "status": {"phase": "Running", "podIP": address, **pod_status(0, ready=True)},
    }


def pod_status(starts: int, *, ready: bool) -> Manifest:
    """What changes when its engine is started again."""
    return {
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [{"name": "engine", "containerID": f"bench://{starts}", "state": {"running": {}}}],
    }


def files(folder: Path, name: str) -> tuple[str, Path]:
    """Write an adapter that the simulator takes; the digits of its digest and where it lies."""
    weights = f"weights of {name}".encode()
    digits = hashlib.sha256(weights).hexdigest()  # what it is does not matter here: it is told, not computed
    path = folder / digits
    path.mkdir(parents=True)
    (path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8, "bias": "none"}))
    (path / "adapter_model.safetensors").write_bytes(weights)
    return digits, path


def adapter(folder: Path, name: str) -> Manifest:
    """A LoRAAdapter whose files are there and known."""
    digits, path = files(folder, name)
    facts = {"digest": f"sha256:{digits}", "path": str(path), "size": 100, "base": MODEL, "rank": 8}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": NAMESPACE, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"deploymentRef": {"name": NAME}, "source": {"uri": f"image:///opt/adapters/{name}"}},
        "status": {"source": {**facts, "targets": ["q_proj"], "bias": "none", "peftType": "LORA"}},
    }
