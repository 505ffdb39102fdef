"""The fetcher's image in a restricted pod: from a store in the cluster to a claim that pods of another user read."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.harness.api import Object
from e2e.harness.cluster import Cluster
from e2e.harness.images import Images
from e2e.harness.namespace import Namespace, namespace
from e2e.harness.store import BUCKET, restricted, store
from slmfleet.guard.adapter_files import digest
from tests.guard.adapters import adapter

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "sec-ret-value"}
CLAIM: Object = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "models"},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
}
READ = """
import os, sys
from pathlib import Path
from slmfleet.guard.adapter_files import digest
folder = Path("/adapters") / sys.argv[1]
assert not os.access(folder, os.W_OK)
Path("/dev/termination-log").write_text(digest(folder))
"""


@pytest.fixture
def lonely(cluster: Cluster, images: Images) -> Iterator[Namespace]:
    """A namespace that needs no operator."""
    with namespace(cluster, images, f"fetcher-{secrets.token_hex(2)}") as found:
        yield found


def test_a_restricted_pod_fetches_what_another_users_pod_reads(lonely: Namespace, tmp_path: Path) -> None:
    made = adapter(tmp_path)
    files = {f"legal/v7/{path.name}": path.read_bytes() for path in made.iterdir()}
    endpoint = store(lonely, files, KEYS["AWS_ACCESS_KEY_ID"])
    secret: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "store"},
        "stringData": KEYS | {"AWS_ENDPOINT_URL": endpoint},
    }
    lonely.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [CLAIM, secret]}))

    fetch = ["--uri", f"s3://{BUCKET}/legal/v7", "--root", "/adapters", "--max-bytes", "1048576"]
    told = json.loads(_run(lonely, "fetch", {"args": [*fetch, "--credentials", "/credentials"]}, uid=65532))
    assert told.get("digest") == digest(made), told

    read = ["python3", "-c", READ, told["digest"].removeprefix("sha256:")]
    assert _run(lonely, "read", {"command": read}, uid=2000) == told["digest"]


def _run(lonely: Namespace, name: str, container: Object, uid: int) -> str:
    """Run a pod of the fetcher's image to its end; its termination message."""
    mounts = [
        {"name": "models", "mountPath": "/adapters", "subPath": "adapters", "readOnly": name == "read"},
        {"name": "credentials", "mountPath": "/credentials"},
    ]
    limits = {"cpu": "1", "memory": "256Mi"}
    spec: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"fsGroup": uid},
        "containers": [
            {
                "name": name,
                "image": lonely.images.fetcher,
                "securityContext": restricted(uid),
                "volumeMounts": mounts,
                "resources": {"limits": limits},
                **container,
            }
        ],
        "volumes": [
            {"name": "models", "persistentVolumeClaim": {"claimName": "models"}},
            {"name": "credentials", "secret": {"secretName": "store"}},
        ],
    }
    lonely.apply(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}))

    def ended() -> str | None:
        (status,) = lonely.get("pod", name).get("status", {}).get("containerStatuses") or [{}]
        terminated = status.get("state", {}).get("terminated")
        return None if terminated is None else str(terminated.get("message"))

    return lonely.eventually(ended, f"the pod {name} ended") or ""
