"""Fields of objects as an API server sees them: merged, pruned, compared, selected."""

from typing import Any

from slmfleet.kube.resources import Manifest


def differ(theirs: object, ours: object) -> bool:
    """Whether two managers set the same field to different values; owners are a set, their lists never conflict."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        common = theirs.keys() & ours.keys() - {"ownerReferences", "uid"}
        return any(differ(theirs[key], ours[key]) for key in common)
    return theirs != ours


def parsed(selector: str) -> dict[str, str]:
    return dict(part.split("=") for part in selector.split(",") if part)


def selected(obj: Manifest, labels: dict[str, str]) -> bool:
    found: dict[str, str] = obj["metadata"].get("labels", {})
    return labels.items() <= found.items()


def merge(into: dict[str, Any], new: dict[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def prune(into: dict[str, Any], last: dict[str, Any], new: dict[str, Any]) -> None:
    """Drop what this manager applied last time and does not apply any more."""
    for key, value in last.items():
        if isinstance(value, dict) and isinstance(new.get(key), dict) and isinstance(into.get(key), dict):
            prune(into[key], value, new[key])
        elif key not in new:
            into.pop(key, None)


def field_at(obj: Manifest, path: str) -> object:
    value: object = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
