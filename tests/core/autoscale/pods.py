"""Pods with the times of their start."""

from datetime import UTC, datetime, timedelta
from typing import Any

from slmfleet.core.types import Manifest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def stamp(seconds: float) -> str:
    """A time `seconds` after NOW."""
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(
    name: str = "a",
    *,
    created: float = 0.0,
    scheduled: float | None = None,
    started: float | None = None,
    ready: float | None = None,
    restarts: int = 0,
    waiting: str = "",
    labels: dict[str, str] | None = None,
    address: str = "10.0.0.1",
    deleting: bool = False,
    phase: str = "Pending",
) -> Manifest:
    """Times are seconds after NOW; None has not happened."""
    state: dict[str, Any] = {"waiting": {"reason": waiting}} if waiting else {}
    if started is not None:
        state = {"running": {"startedAt": stamp(started)}}
    conditions = [
        {"type": kind, "status": str(when is not None), "lastTransitionTime": stamp(when or created)}
        for kind, when in (("PodScheduled", scheduled), ("Ready", ready))
    ]
    metadata: dict[str, Any] = {
        "name": f"support-{name}",
        "namespace": "chat",
        "uid": name,
        "creationTimestamp": stamp(created),
        "labels": {"slmfleet.dev/traffic": "true", "pod-template-hash": "t1"} | (labels or {}),
    }
    if deleting:
        metadata["deletionTimestamp"] = stamp(created)
    engine = {"name": "engine", "restartCount": restarts, "state": state}
    status = {"phase": phase, "podIP": address, "conditions": conditions, "containerStatuses": [engine]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}


def started(name: str, total: float = 60.0, *, at: float = 0.0, **changes: Any) -> Manifest:
    """A pod that took `total` seconds: a tenth of them to its node, two tenths to its container."""
    times = {"scheduled": at + total * 0.1, "started": at + total * 0.3, "ready": at + total}
    return pod(name, created=at, phase="Running", **(times | changes))
