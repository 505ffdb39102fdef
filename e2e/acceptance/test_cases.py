"""The tables of cases/: objects, and the exact answers of a real API server."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from slmfleet.api import catalogue, crds

from .kubectl import Answer, Kubectl

CASES = Path(__file__).parent / "cases"
BASE: dict[str, dict[str, Any]] = yaml.safe_load((CASES / "base.yaml").read_text(encoding="utf-8"))
SPECS = {definition.kind: definition.spec for definition in crds.DEFINITIONS}
KEYS = {"case", "kind", "name", "spec", "update", "refused", "stored"}


def load() -> list[Any]:
    return [
        pytest.param(case, id=f"{path.stem}: {case['case']}")
        for path in sorted(CASES.glob("*.yaml"))
        if path.name != "base.yaml"
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def merged(onto: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """JSON merge patch, RFC 7386."""
    result = copy.deepcopy(onto)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key, {}), value)
        else:
            result[key] = value
    return result


def answer_to(case: dict[str, Any], kubectl: Kubectl, stored: Callable[[dict[str, Any]], str]) -> Answer:
    base = BASE[case.get("kind", "SLMDeployment")]
    manifest = merged(base, {"spec": case.get("spec", {})})
    if "name" in case:
        manifest["metadata"] = {"name": case["name"]}
    if "update" not in case:
        return kubectl.try_create(manifest)
    patch = yaml.safe_dump({"spec": case["update"]})
    return kubectl("patch", stored(manifest), "--type=merge", "--dry-run=server", "-o", "json", "--patch", patch)


@pytest.mark.parametrize("case", load())
def test_the_api_server_answers(
    case: dict[str, Any], kubectl: Kubectl, stored: Callable[[dict[str, Any]], str]
) -> None:
    assert case.keys() <= KEYS, "a key that the table does not know would be ignored"
    answer = answer_to(case, kubectl, stored)
    if "refused" in case:
        assert answer.refusals() == sorted(case["refused"])
    else:
        spec = answer.json()["spec"]
        if "stored" in case:
            assert spec == case["stored"]
        # What the API server stores, the operator can read.
        SPECS[case.get("kind", "SLMDeployment")].model_validate(spec)


def test_every_built_in_accelerator_could_be_an_object(kubectl: Kubectl) -> None:
    base = BASE["AcceleratorClass"]
    objects = [
        base | {"metadata": {"name": entry.name}, "spec": entry.spec.to_manifest()} for entry in catalogue.ENTRIES
    ]
    answer = kubectl.try_create({"apiVersion": "v1", "kind": "List", "items": objects})
    assert answer.ok, answer.err
