"""The pods that adapters can be in, and what is known of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slmfleet.core.build.adapter_volume import loads_adapters
from slmfleet.core.names import TRAFFIC
from slmfleet.core.pod_status import is_ending, is_finished, is_ready
from slmfleet.core.types import Manifest, Observed

from .reports import Report


@dataclass(frozen=True)
class Seat:
    """A chosen pod."""

    name: str
    ready: bool
    report: Report | None
    unheard: bool = False
    """Nobody has asked its guard since the operator started: what was told last is told on."""
    silence: str = ""
    """Why its guard says nothing, where it was asked."""
    before: Manifest | None = None
    """What the status told about the adapter in this pod, for one that is unheard."""
    leaving: bool = False
    """It is being emptied: it answers whom it still has, and counts for nothing."""


def pods_of(observed: Observed) -> list[Manifest]:
    """Pods that can be given adapters, in order."""
    pods = [
        pod
        for pod in observed.pods
        if loads_adapters(pod) and pod.get("status", {}).get("podIP") and not is_ending(pod) and not is_finished(pod)
    ]
    return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))


def seat_of(pod: Manifest, reports: Mapping[str, Any]) -> Seat:
    """What its guard has said last, by the pod's uid, is in `reports`."""
    name, uid, ready = pod["metadata"]["name"], pod["metadata"]["uid"], is_ready(pod)
    leaving = (pod["metadata"].get("labels") or {}).get(TRAFFIC) == "false"
    if uid not in reports:
        return Seat(name, ready, None, unheard=True, leaving=leaving)
    try:
        return Seat(name, ready, Report.read(reports[uid]), leaving=leaving)
    except ValueError as error:
        told = reports[uid]
        why = str(told["error"] if isinstance(told, dict) and "error" in told else error)
        return Seat(name, ready, None, silence=why, leaving=leaving)
