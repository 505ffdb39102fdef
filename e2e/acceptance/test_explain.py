"""`kubectl explain` has words for every field."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from slmfleet.api import crds

from .kubectl import Kubectl

Schema = dict[str, Any]


def parents(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every object with fields of its own, under the path that kubectl explain takes."""
    while "items" in schema or "additionalProperties" in schema:
        schema = schema.get("items") or schema["additionalProperties"]
    if "properties" in schema:
        yield path, schema["properties"]
        for name, child in schema["properties"].items():
            yield from parents(child, f"{path}.{name}")


def explained() -> list[Any]:
    places = []
    for definition, short in zip(crds.DEFINITIONS, ("accel", "lora", "slm"), strict=True):
        fields = definition.schema()["properties"]
        for part in ("spec", "status"):
            if part in fields:
                places += [pytest.param(p, f, id=p) for p, f in parents(fields[part], f"{short}.{part}")]
    return places


def words(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(("path", "fields"), explained())
def test_explain_prints_the_description_of_each_field(path: str, fields: Schema, kubectl: Kubectl) -> None:
    answer = kubectl("explain", path)
    assert answer.ok, answer.err
    said = words(answer.out)
    missing = [name for name, field in fields.items() if words(field["description"]) not in said]
    assert missing == []
    assert "<no description>" not in answer.out
