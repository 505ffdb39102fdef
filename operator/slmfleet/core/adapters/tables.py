"""The guard's table: what one pod should have."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from slmfleet.core.names import Names
from slmfleet.core.types import Manifest
from slmfleet.engine.adapters import TABLE_FILE

Table = dict[str, Any]


def table(entries: Iterable[tuple[str, Mapping[str, Any]]]) -> Table:
    """Engine-side names with their entries, as PUT /slmfleet/adapters takes them."""
    return {"adapters": dict(entries)}


def table_config_map(names: Names, wanted: Mapping[str, Any]) -> Manifest:
    """What an engine loads at its start, with or without the operator: the adapters that all pods have."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": names.metadata(names.adapter_table),
        "data": {TABLE_FILE: json.dumps(wanted, indent=2, sort_keys=True) + "\n"},
    }
