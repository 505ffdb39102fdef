"""The cluster with this repository's CRDs, and a namespace that goes with the tests."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2e.harness.waiting import eventually
from slmfleet.api import crds
from slmfleet.api.base import GROUP, VERSION

from .kubectl import MOST_SECONDS, NAMESPACE, Kubectl, find

REPOSITORY = Path(__file__).parents[2]
WAIT = f"--timeout={MOST_SECONDS - 30}s"
"""It ends before kubectl is ended."""


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    """kubectl against a cluster that serves the CRDs of this repository."""
    command = find()
    installed = command("apply", "--server-side", "--force-conflicts", "-f", str(REPOSITORY / "crds"))
    assert installed.ok, installed.err
    established = command("wait", "--for=condition=Established", "-f", str(REPOSITORY / "crds"), WAIT)
    assert established.ok, established.err
    eventually(lambda: _documented(command), within=MOST_SECONDS, what="the API server documents these CRDs")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    assert command("apply", "-f", "-", stdin=namespace).ok
    with _operator_standing_still(command):
        yield command
    # Waits: the next run could create nothing in a namespace that is on its way out.
    command("delete", "namespace", NAMESPACE, WAIT)


def _documented(kubectl: Kubectl) -> bool:
    """Whether the API server has taken up the CRDs: their documentation is the last thing that it makes of them."""
    told = set(_descriptions(kubectl("get", "--raw", f"/openapi/v3/apis/{GROUP}/{VERSION}").json()))
    schemas = [definition.schema()["properties"] for definition in crds.DEFINITIONS]
    fields = [schema[part] for schema in schemas for part in ("spec", "status") if part in schema]
    missing = set(_descriptions(fields)) - told
    assert not missing, f"{len(missing)} descriptions are missing, such as {min(missing)!r}"
    return True


def _descriptions(found: object) -> Iterator[str]:
    if isinstance(found, dict):
        for key, value in found.items():
            if key == "description" and isinstance(value, str):
                yield value
            yield from _descriptions(value)
    elif isinstance(found, list):
        for value in found:
            yield from _descriptions(value)


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
    assert kubectl("wait", "--for=delete", *pods, WAIT).ok
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
