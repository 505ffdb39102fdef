"""The guard's table: what one pod should have."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from slmfleet.core.names import Names
from slmfleet.core.types import Manifest
from slmfleet.engine.adapters import TABLE_FILE

Table = dict[str, Any]


def table(entries: Iterable[tuple[str, Mapping[str, Any]]]) -> Table:
    """Engine-side names with their entries, as PUT /slmfleet/adapters takes them."""
    return {"adapters": dict(entries)}


def starting_table(entries: Iterable[tuple[str, Mapping[str, Any], Collection[str] | None]]) -> Table:
    """The same with the pods that each is for, None for all, as engines that start find it."""
    lines = list(entries)
    placed = {name: {**entry, "pods": sorted(pods)} for name, entry, pods in lines if pods}
    return table((name, entry) for name, entry, pods in lines if pods is None) | ({"placed": placed} if placed else {})


def table_config_map(names: Names, wanted: Mapping[str, Any]) -> Manifest:
    """What an engine loads at its start, with or without the operator."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": names.metadata(names.adapter_table),
        "data": {TABLE_FILE: json.dumps(wanted, indent=2, sort_keys=True) + "\n"},
    }
