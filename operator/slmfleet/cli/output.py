"""How the command writes objects: YAML or JSON, the same in a terminal and in a pipe."""

import json
from collections.abc import Sequence
from typing import Any

import yaml


def to_yaml(objects: Sequence[dict[str, Any]], dumper: type[yaml.SafeDumper] = yaml.SafeDumper) -> str:
    """A YAML stream, one document per object, keys in the objects' own order; the same on every run.

    `dumper` decides the style.
    """
    # Through JSON: two fields that are one object in Python would become an anchor and an alias.
    plain = json.loads(json.dumps(objects))
    return "---\n".join(yaml.dump(o, Dumper=dumper, sort_keys=False, width=120, allow_unicode=True) for o in plain)


def to_json(objects: Sequence[dict[str, Any]]) -> str:
    """One object as itself, several as a v1 List, which kubectl accepts as well."""
    value: Any = objects[0] if len(objects) == 1 else {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    return json.dumps(value, indent=2) + "\n"
