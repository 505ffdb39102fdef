"""The CRDs' rules in Python say what their CEL says: the same cases that a real API server answers."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from slmfleet.api import crds
from slmfleet.api.base import Rule
from slmfleet.api.rules import broken, violations

CASES = Path(__file__).parents[2] / "e2e/acceptance/cases"
BASE: dict[str, dict[str, Any]] = yaml.safe_load((CASES / "base.yaml").read_text(encoding="utf-8"))
KINDS = {definition.kind: definition for definition in crds.DEFINITIONS}


def cases() -> list[Any]:
    """Those that need no stored object."""
    return [
        pytest.param(case, id=f"{path.stem}: {case['case']}")
        for path in sorted(CASES.glob("*.yaml"))
        if path.name != "base.yaml"
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))
        if "update" not in case
    ]


def merged(onto: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """JSON merge patch, RFC 7386."""
    result = copy.deepcopy(onto)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key, {}), value) if isinstance(value, dict) else value
    return result


def refused_paths(case: dict[str, Any]) -> set[str]:
    """Where the API server says that something is wrong, without what merely follows from it."""
    lines: list[str] = case.get("refused", [])
    strict = [
        path for line in lines if line.startswith("strict") for path in re.findall('unknown field "([^"]+)"', line)
    ]
    return {line.partition(":")[0] for line in lines if not line.startswith(("strict", "<nil>"))} | set(strict)


def told_paths(case: dict[str, Any]) -> set[str]:
    definition = KINDS[case.get("kind", "SLMDeployment")]
    base = BASE[definition.kind]
    manifest = merged(base, {"spec": case.get("spec", {}), "metadata": {"name": case.get("name", "case")}})
    paths = {found.path.lstrip(".") for found in broken({"x-kubernetes-validations": definition.rules}, manifest, "")}
    try:
        spec = definition.spec.model_validate(manifest["spec"])
    except ValidationError as error:
        return paths | {path_of(item["loc"]) for item in error.errors()}
    return paths | {found.path for found in violations(spec, "spec")}


def path_of(loc: tuple[int | str, ...]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc if part != "[key]"]
    return f"spec{''.join(parts)}"


@pytest.mark.parametrize("case", cases())
def test_without_an_api_server_the_same_fields_are_refused(case: dict[str, Any]) -> None:
    wanted, told = refused_paths(case), told_paths(case)
    # A map's key is refused at the map by the API server, and at the key by pydantic.
    assert {path for path in told if not any(path.startswith(f"{map_}.") for map_ in wanted)} <= wanted
    assert {path for path in wanted if not any(path == t or t.startswith(f"{path}.") for t in told)} == set()


def rules_of(model: type[BaseModel]) -> Iterator[Any]:
    """All rules of a model and of the models in it, as objects."""
    extras = [model.model_config.get("json_schema_extra"), *(f.json_schema_extra for f in model.model_fields.values())]
    for extra in extras:
        if isinstance(extra, dict):
            yield from extra.get("x-kubernetes-validations", ())  # type: ignore[misc]
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            yield from rules_of(inner)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from models_in(argument)


@pytest.mark.parametrize("definition", crds.DEFINITIONS, ids=KINDS)
def test_every_rule_that_needs_no_old_object_has_its_check_in_python(definition: crds.Definition) -> None:
    found = [*definition.rules, *rules_of(definition.spec)]
    assert found
    for rule in found:
        assert isinstance(rule, Rule)
        assert (rule.holds is None) == ("oldSelf" in rule["rule"]), rule["rule"]
