"""The CRDs as a whole: size, names, columns, defaults and rules."""

import json
from typing import Any

import pytest

from slmfleet.api import crds
from slmfleet.api.schema import RULES, Schema

MANIFESTS = {manifest["spec"]["names"]["kind"]: manifest for manifest in crds.manifests()}
SLM = MANIFESTS["SLMDeployment"]["spec"]
SLM_SCHEMA = SLM["versions"][0]["schema"]["openAPIV3Schema"]


def field(path: str) -> Schema:
    node: Schema = SLM_SCHEMA
    for name in path.split("."):
        node = node["properties"][name]
    return node


def all_rules(node: Schema) -> list[dict[str, str]]:
    below = [*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")]
    return [*node.get(RULES, ()), *(r for child in below if child for r in all_rules(child))]


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
def test_a_crd_stays_far_below_what_client_side_apply_can_carry(manifest: dict[str, Any]) -> None:
    assert len(json.dumps(manifest)) < 100_000


def test_manifests_are_the_same_on_every_call() -> None:
    assert json.dumps(crds.manifests()) == json.dumps(crds.manifests())


def test_the_names_are_those_that_people_type() -> None:
    assert SLM["names"] == {
        "kind": "SLMDeployment",
        "listKind": "SLMDeploymentList",
        "plural": "slmdeployments",
        "singular": "slmdeployment",
        "shortNames": ["slm"],
        "categories": ["all", "slmfleet"],
    }
    assert MANIFESTS["AcceleratorClass"]["spec"]["names"]["shortNames"] == ["accel"]
    assert MANIFESTS["AcceleratorClass"]["spec"]["scope"] == "Cluster"


def test_scale_reads_and_writes_the_replicas() -> None:
    assert SLM["versions"][0]["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }


def test_an_accelerator_class_has_no_subresources() -> None:
    assert "subresources" not in MANIFESTS["AcceleratorClass"]["spec"]["versions"][0]


def test_columns_read_fields_that_exist() -> None:
    for column in SLM["versions"][0]["additionalPrinterColumns"]:
        path = column["jsonPath"].removeprefix(".").split("[")[0]
        if not path.startswith("metadata"):
            assert field(path)["description"]


def test_the_status_has_no_defaults() -> None:
    assert "default" not in json.dumps(SLM_SCHEMA["properties"]["status"]).replace("defaulted", "")


def test_the_pod_overlay_does_not_appear_by_itself() -> None:
    assert "default" not in field("spec.pod")


@pytest.mark.parametrize(
    ("path", "default"),
    [
        ("spec.replicas", 1),
        ("spec.paused", False),
        ("spec.drain", {}),
        ("spec.drain.timeout", "300s"),
        ("spec.parallelism", {}),
        ("spec.parallelism.tensor", 1),
        ("spec.rollout", {}),
        ("spec.rollout.onOperatorUpgrade", "Keep"),
    ],
)
def test_the_stored_object_is_complete_where_the_model_has_a_default(path: str, default: object) -> None:
    assert field(path)["default"] == default


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
def test_every_rule_has_a_message_of_one_line(manifest: dict[str, Any]) -> None:
    for each in all_rules(manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]):
        assert each["message"]
        assert "\n" not in each["message"]
        assert len(each["message"]) <= 2048
