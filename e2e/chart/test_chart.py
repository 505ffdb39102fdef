"""What the chart grants and how its pods run, read from helm's own rendering; the scenarios install it for real."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e.cluster.settings import REPOSITORY
from e2e.harness.cluster import Cluster, running
from slmfleet import __version__

CHART = str(REPOSITORY / "charts" / "slmfleet")
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running() as found:
        yield found


def render(cluster: Cluster, *sets: str) -> list[Manifest]:
    words = [word for value in sets for word in ("--set", value)]
    version = ("--kube-version", "1.35.0")
    result = cluster.helm("template", "slmfleet", CHART, "-n", "slmfleet-system", *version, *words)
    return [document for document in yaml.safe_load_all(result.stdout) if document]


def rules(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """The rules of the operator's own roles; those for people are named -edit and -view."""
    roles = [m for m in manifests if m["kind"] == kind and not m["metadata"]["name"].endswith(("-edit", "-view"))]
    return [rule for role in roles for rule in role["rules"]]


@pytest.mark.parametrize("sets", [(), ("watchNamespaces={a,b}",)])
def test_no_role_has_a_wildcard_or_a_way_to_other_rights(cluster: Cluster, sets: tuple[str, ...]) -> None:
    manifests = render(cluster, *sets)
    granted = rules(manifests, "ClusterRole") + rules(manifests, "Role")
    words = {word for rule in granted for key in ("apiGroups", "resources", "verbs") for word in rule[key]}
    assert granted
    assert not words & {"*", "deletecollection", "impersonate", "escalate", "bind"}


@pytest.mark.parametrize("sets", [(), ("watchNamespaces={a,b}",)])
def test_secrets_are_made_and_only_the_operators_own_key_is_read(cluster: Cluster, sets: tuple[str, ...]) -> None:
    manifests = render(cluster, *sets)
    granted = rules(manifests, "ClusterRole") + rules(manifests, "Role")
    about_secrets = [rule for rule in granted if "secrets" in rule["resources"]]
    assert {tuple(rule["verbs"]) for rule in about_secrets if "resourceNames" not in rule} == {("create",)}
    (own,) = [
        (role["metadata"]["namespace"], rule)
        for role in manifests
        if role["kind"] == "Role"
        for rule in role["rules"]
        if "secrets" in rule["resources"] and "resourceNames" in rule
    ]
    assert own[0] == "slmfleet-system"
    assert (own[1]["resourceNames"], own[1]["verbs"]) == (["slmfleet-guard-key"], ["get"])
    (deployment,) = [m for m in manifests if m["kind"] == "Deployment"]
    env = {
        entry["name"]: entry.get("value") for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert env["SLMFLEET_GUARD_KEY"] == own[1]["resourceNames"][0]


def test_with_watch_namespaces_only_accelerator_classes_are_granted_cluster_wide(cluster: Cluster) -> None:
    manifests = render(cluster, "watchNamespaces={a,b}")
    assert [rule["resources"] for rule in rules(manifests, "ClusterRole")] == [
        ["acceleratorclasses"],
        ["tokenreviews"],
        ["subjectaccessreviews"],
    ]
    namespaces = {m["metadata"]["namespace"] for m in manifests if m["kind"] == "Role"}
    assert namespaces == {"a", "b", "slmfleet-system"}


def test_the_operators_pods_meet_the_restricted_standard_with_a_read_only_root(cluster: Cluster) -> None:
    (deployment,) = [m for m in render(cluster) if m["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_chart_installs_the_release_that_it_lies_beside(cluster: Cluster) -> None:
    (deployment,) = [m for m in render(cluster) if m["kind"] == "Deployment"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == f"slmfleet/operator:{__version__}"


def test_the_crds_are_kept_when_the_release_goes_and_can_be_left_out(cluster: Cluster) -> None:
    crds = [m for m in render(cluster) if m["kind"] == "CustomResourceDefinition"]
    assert [crd["metadata"]["annotations"]["helm.sh/resource-policy"] for crd in crds] == ["keep"] * 3
    assert not [m for m in render(cluster, "crds.install=false") if m["kind"] == "CustomResourceDefinition"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [("replica=3", "additional properties 'replica' not allowed"), ("logLevel=loud", "value must be one of")],
)
def test_a_value_that_does_not_exist_is_refused_by_name(cluster: Cluster, value: str, problem: str) -> None:
    result = cluster.commands.run("helm", "template", "x", CHART, "--kube-version", "1.35.0", "--set", value)
    assert result.code == 1
    assert problem in result.stderr
