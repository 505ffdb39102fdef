"""What the cluster holds from the start: the node's fake GPUs, the DNS Service, the volumes."""

import time
from datetime import datetime
from pathlib import Path

from .api import Api, Object
from .console import ClusterError
from .settings import Settings
from .shell import wait_until

STORAGE_CLASS = "local"


def apply_all(settings: Settings, api: Api) -> None:
    """Bring them up to date. Idempotent."""
    _gpus(settings, api)
    _dns(settings, api)
    _volumes(settings, api)


def node_ready(settings: Settings, api: Api, since: float | None = None) -> bool:
    """Whether the node is Ready; `since`: only if it said so after that time, for a stopped node's last word stays."""
    node = api.get(f"/api/v1/nodes/{settings.node}")
    for condition in (node or {}).get("status", {}).get("conditions", []):
        if condition["type"] == "Ready" and condition["status"] == "True":
            said = datetime.fromisoformat(condition["lastHeartbeatTime"]).timestamp()
            return since is None or said >= int(since)
    return False


def default_account(api: Api) -> bool:
    """Whether pods can be made in the namespace `default`: their service account is made by a controller."""
    return api.get("/api/v1/namespaces/default/serviceaccounts/default") is not None


def _gpus(settings: Settings, api: Api) -> None:
    path = f"/api/v1/nodes/{settings.node}"
    status = (api.get(path) or {}).get("status", {})
    wanted = {settings.gpu_resource: str(settings.gpus)}
    if any(
        status.get(where, {}).get(settings.gpu_resource) != str(settings.gpus) for where in ("capacity", "allocatable")
    ):
        api.merge(f"{path}/status", {"status": {"capacity": wanted, "allocatable": wanted}})


def _dns(settings: Settings, api: Api) -> None:
    """CoreDNS runs on the machine, so the Service has no selector and its endpoint is written by hand."""
    ports = [("dns", "UDP"), ("dns-tcp", "TCP")]
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        "spec": {
            "clusterIP": settings.dns_ip,
            "ports": [{"name": name, "protocol": protocol, "port": 53} for name, protocol in ports],
        },
    }
    slice_: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [settings.gateway], "conditions": {"ready": True}}],
        "ports": [{"name": name, "protocol": protocol, "port": 53} for name, protocol in ports],
    }
    api.apply("/api/v1/namespaces/kube-system/services/kube-dns", service)
    api.apply("/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns", slice_)


def _volumes(settings: Settings, api: Api) -> None:
    storage: Object = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "Immediate",
    }
    api.apply(f"/apis/storage.k8s.io/v1/storageclasses/{STORAGE_CLASS}", storage)
    existing = {pv["metadata"]["name"]: pv for pv in (api.get("/api/v1/persistentvolumes") or {}).get("items", [])}
    for number in range(settings.volumes):
        name = f"local-{number:02d}"
        directory = settings.state / "volumes" / name
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o777)  # pods of any user write there; the kubelet sets no owner on a hostPath
        phase = existing.get(name, {}).get("status", {}).get("phase")
        if phase == "Failed":
            _forget(name, api)
        if phase in (None, "Failed"):
            api.apply(f"/api/v1/persistentvolumes/{name}", _volume(settings, name, directory))


def _volume(settings: Settings, name: str, directory: Path) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "capacity": {"storage": settings.volume_size},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Recycle",
            "hostPath": {"path": str(directory), "type": "DirectoryOrCreate"},
        },
    }


def _forget(name: str, api: Api) -> None:
    path = f"/api/v1/persistentvolumes/{name}"
    api.delete(path)
    if not wait_until(lambda: api.get(path) is None, seconds=10):
        raise ClusterError(f"volume {name} can't be deleted: see `kubectl describe pv {name}`")


def wait_for_node(settings: Settings, api: Api, since: float | None) -> None:
    """Wait until the node is Ready and pods can be made."""
    began = time.monotonic()

    def ready() -> bool:
        return node_ready(settings, api, since) and default_account(api)

    if not wait_until(ready, seconds=180):
        waited = time.monotonic() - began
        node = api.get(f"/api/v1/nodes/{settings.node}") or {}
        said = [c["message"] for c in node.get("status", {}).get("conditions", []) if c["type"] == "Ready"]
        raise ClusterError(
            f"node {settings.node} is not Ready after {waited:.0f}s: {'; '.join(said) or 'it did not register'}"
        )
