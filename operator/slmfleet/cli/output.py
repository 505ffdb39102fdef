"""How the command writes objects: YAML or JSON, the same in a terminal and in a pipe."""

import json
from collections.abc import Sequence
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Two fields that hold the same list are written twice, not as an alias that people then have to resolve."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def to_yaml(objects: Sequence[dict[str, Any]]) -> str:
    """A YAML stream, one document per object, keys in the objects' own order."""
    documents = [yaml.dump(o, Dumper=_Dumper, sort_keys=False, width=140, allow_unicode=True) for o in objects]
    return "---\n".join(documents)


def to_json(objects: Sequence[dict[str, Any]]) -> str:
    """One object as itself, several as a v1 List, which kubectl accepts as well."""
    value: Any = objects[0] if len(objects) == 1 else {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    return json.dumps(value, indent=2) + "\n"
