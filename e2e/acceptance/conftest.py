"""The cluster with this repository's CRDs, and a namespace that goes with the tests."""

import uuid
from collections.abc import Callable, Iterator
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
    yield command
    # Waits: the next run could create nothing in a namespace that is on its way out.
    command("delete", "namespace", NAMESPACE, "--timeout=50s")


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
