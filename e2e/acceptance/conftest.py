"""The cluster with this repository's CRDs, and a namespace that goes with the tests."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .kubectl import NAMESPACE, Kubectl, find

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    """kubectl against a cluster that serves the CRDs of this repository."""
    command = find()
    installed = command("apply", "--server-side", "--force-conflicts", "-f", str(REPOSITORY / "crds"))
    assert installed.ok, installed.err
    established = command("wait", "--for=condition=Established", "-f", str(REPOSITORY / "crds"), "--timeout=30s")
    assert established.ok, established.err
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    assert command("apply", "-f", "-", stdin=namespace).ok
    with _operator_standing_still(command):
        yield command
    # Waits: the next run could create nothing in a namespace that is on its way out.
    command("delete", "namespace", NAMESPACE, "--timeout=50s")


@contextmanager
def _operator_standing_still(kubectl: Kubectl) -> Iterator[None]:
    """These tests write status themselves and look at the API server alone: an installed operator would answer too."""
    where = ("-n", "slmfleet-system", "deployment", "--selector", "app.kubernetes.io/name=slmfleet")
    replicas = kubectl("get", *where, "-o", "jsonpath={.items[*].spec.replicas}").out.strip()
    if not replicas or replicas == "0":
        yield
        return
    assert kubectl.local, "this cluster runs slmfleet, which would have to stand still meanwhile: use another cluster"
    assert kubectl("scale", *where, "--replicas=0").ok
    pods = ("pod", "-n", "slmfleet-system", "--selector", "app.kubernetes.io/name=slmfleet")
    assert kubectl("wait", "--for=delete", *pods, "--timeout=60s").ok
    try:
        yield
    finally:
        kubectl("scale", *where, f"--replicas={replicas}")


@pytest.fixture
def stored(kubectl: Kubectl) -> Iterator[Callable[[dict[str, Any]], str]]:
    """Really creates an object, under a name of its own, and returns `kind/name`; it goes after the test."""
    names: list[str] = []

    def create(manifest: dict[str, Any]) -> str:
        metadata = manifest["metadata"] | {"name": f"case-{uuid.uuid4().hex[:8]}"}
        answer = kubectl("create", "-o", "name", "-f", "-", stdin=manifest | {"metadata": metadata})
        assert answer.ok, answer.err
        names.append(answer.out.strip())
        return names[-1]

    yield create
    for name in names:
        kubectl("delete", name, "--wait=false")
