"""The rules of the CRDs, checked without an API server.

Each CEL rule carries the same check in Python (`base.rule`), so that `slmfleet render`, and an operator whose API
server serves an older CRD, refuse what the CRD refuses, in its words.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from .base import Rule

_RULES = "x-kubernetes-validations"


@dataclass(frozen=True)
class Violation:
    """A value that breaks a rule."""

    path: str
    value: object
    message: str

    def __str__(self) -> str:
        shown = f": {_short(self.value)}" if isinstance(self.value, str | int) else ""
        return f"{self.path.lstrip('.')}{shown}: {self.message}"


def violations(value: object, path: str) -> Iterator[Violation]:
    """What the API server would refuse in a parsed value that stands at `path`."""
    if isinstance(value, BaseModel):
        extra = type(value).model_config.get("json_schema_extra")
        yield from broken(extra if isinstance(extra, Mapping) else {}, value, path)
        for name, field in type(value).model_fields.items():
            child, where = getattr(value, name), f"{path}.{field.alias or name}"
            extra = field.json_schema_extra
            if child is not None and isinstance(extra, Mapping):
                yield from broken(extra, child, where)
            yield from violations(child, where)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from violations(item, f"{path}[{index}]")


def broken(schema: Mapping[str, Any], value: Any, path: str) -> Iterator[Violation]:  # noqa: ANN401 - any field
    """The rules of one node of a schema that its value breaks; a rule that compares with the old object is left out."""
    for rule in schema.get(_RULES, ()):
        if isinstance(rule, Rule) and rule.holds is not None and not rule.holds(value):
            field = rule.get("fieldPath", "")
            message = rule["message"] if rule.told is None else rule.told(value)
            yield Violation(path + field, None if field else value, message)
    if (kind := schema.get("x-kubernetes-list-type")) in ("set", "map"):
        keys = schema.get("x-kubernetes-list-map-keys", ()) if kind == "map" else ()
        yield from _repeated([_key(item, keys) for item in value], path)


def _key(item: Any, names: Iterable[str]) -> object:  # noqa: ANN401 - any item
    return tuple(getattr(item, name) for name in names) or item


def _repeated(keys: list[object], path: str) -> Iterator[Violation]:
    for index, key in enumerate(keys):
        if key in keys[:index]:
            shown = ", ".join(map(str, key)) if isinstance(key, tuple) else key
            yield Violation(f"{path}[{index}]", shown, "is there already: remove one of them")


def _short(value: str | int) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
