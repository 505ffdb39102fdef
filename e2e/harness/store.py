"""A bucket inside the cluster: a pod that speaks S3, with the files that a scenario gives it."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from e2e.fetcher import servers

from .api import Object
from .namespace import Namespace

PORT = 9000
BUCKET = "adapters"


def store(namespace: Namespace, files: Mapping[str, bytes], access_key: str, name: str = "store") -> str:
    """Start it and wait until it listens; the value of AWS_ENDPOINT_URL. Together the files have at most 700 kB."""
    encoded = json.dumps({key: base64.b64encode(data).decode() for key, data in files.items()})
    program = Path(servers.__file__).read_text()
    metadata = {"name": name, "labels": {"app": name}}
    config: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"servers.py": program, "files.json": encoded},
    }
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": {"app": name}, "ports": [{"port": PORT}]},
    }
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _pod(namespace, name, access_key)}
    # By the server's side: a client would put all of the files into an annotation, which is too small for them.
    items = {"apiVersion": "v1", "kind": "List", "items": [config, service, pod]}
    namespace.apply(json.dumps(items), "--server-side")

    def listens() -> bool:
        status = namespace.get("pod", name).get("status", {})
        return any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions", []))

    namespace.eventually(listens, f"the store {name} listens")
    with namespace.service(name, PORT):  # the node's proxy knows it, too: a fetch may begin at once
        pass
    return f"http://{name}.{namespace.name}.svc:{PORT}"


def restricted(uid: int) -> Object:
    """The security context of a container that Pod Security's `restricted` admits, on a read-only root."""
    return {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _pod(namespace: Namespace, name: str, access_key: str) -> Object:
    container = {
        "name": "store",
        "image": namespace.images.simulator,
        "command": ["python3", "/store/servers.py", "/store/files.json", str(PORT), access_key],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "securityContext": restricted(65532),
        "volumeMounts": [{"name": "store", "mountPath": "/store"}],
    }
    return {
        "containers": [container],
        "volumes": [{"name": "store", "configMap": {"name": name}}],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
    }
