"""Reading objects often: one `kubectl proxy` per session, so that a poll costs milliseconds and no new process.

The proxy authenticates the way the user's kubeconfig says. It listens on a socket that only this user can reach.
"""

import http.client
import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .commands import Commands
from .waiting import eventually

Object = dict[str, Any]

_KINDS = {
    "slm": "apis/slmfleet.dev/v1alpha1 slmdeployments",
    "lora": "apis/slmfleet.dev/v1alpha1 loraadapters",
    "job": "apis/batch/v1 jobs",
    "deployment": "apis/apps/v1 deployments",
    "replicaset": "apis/apps/v1 replicasets",
    "controllerrevision": "apis/apps/v1 controllerrevisions",
    "poddisruptionbudget": "apis/policy/v1 poddisruptionbudgets",
    "networkpolicy": "apis/networking.k8s.io/v1 networkpolicies",
    "pod": "api/v1 pods",
    "service": "api/v1 services",
    "serviceaccount": "api/v1 serviceaccounts",
    "configmap": "api/v1 configmaps",
    "secret": "api/v1 secrets",
    "persistentvolumeclaim": "api/v1 persistentvolumeclaims",
    "event": "apis/events.k8s.io/v1 events",
    "horizontalpodautoscaler": "apis/autoscaling/v2 horizontalpodautoscalers",
    "lease": "apis/coordination.k8s.io/v1 leases",
}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Api:
    """The API server, read-only."""

    def __init__(self, proxy: Path) -> None:
        self._proxy = proxy

    def text(self, path: str) -> str | None:
        """The body of a GET, byte for byte; None if there is nothing."""
        connection = _UnixConnection(self._proxy)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
        finally:
            connection.close()
        if answer.status == http.client.NOT_FOUND:
            return None
        if answer.status != http.client.OK:
            raise OSError(f"GET {path} answered {answer.status}: {body[:500]}")
        return body

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """An object, or None if there is none."""
        body = self.text(f"{_path(kind, namespace)}/{name}")
        return json.loads(body) if body is not None else None

    def objects(self, kind: str, namespace: str, labels: str = "") -> list[Object]:
        """The objects of a namespace, oldest first."""
        body = self.text(f"{_path(kind, namespace)}?labelSelector={quote(labels)}")
        items: list[Object] = json.loads(body)["items"] if body is not None else []
        return sorted(items, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"]))


@contextmanager
def connected(commands: Commands) -> Iterator[Api]:
    """The API server for as long as the body runs."""
    with tempfile.TemporaryDirectory(prefix="slmfleet-") as folder:
        path = Path(folder) / "proxy"
        argv = commands.argv("kubectl", "proxy", f"--unix-socket={path}")
        with subprocess.Popen(argv, env=commands.environment(), stdout=subprocess.DEVNULL) as process:
            try:
                eventually(path.exists, within=60, what="`kubectl proxy` listens")
                yield Api(path)
            finally:
                process.terminate()


def _path(kind: str, namespace: str) -> str:
    version, plural = _KINDS[kind].split()
    return f"/{version}/namespaces/{namespace}/{plural}"
