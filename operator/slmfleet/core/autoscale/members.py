"""Which pods of a fleet answer, and which are on their way."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from slmfleet.core.names import ENGINE_CONTAINER, TRAFFIC
from slmfleet.core.types import Manifest

BROKEN: Final = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
"""The kubelet's words for a container that will not run unless something is changed."""


@dataclass(frozen=True, slots=True)
class Member:
    """A pod whose engine answers."""

    uid: str
    name: str
    address: str
    """Its IP; empty where the pod's status does not tell."""


def serving(pods: Iterable[Manifest]) -> list[Member]:
    """The pods whose engines answer: ready and not on their way out, those that are being emptied included."""
    return [
        Member(pod["metadata"]["uid"], pod["metadata"]["name"], pod.get("status", {}).get("podIP", ""))
        for pod in pods
        if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
    ]


def pending(pods: Iterable[Manifest], now: datetime, expiry: float) -> list[Manifest]:
    """The pods on their way to ready that still count.

    None that is broken, none that was restarted by its own fault, and none that is older than `expiry` seconds, which
    is more than a start takes: who counts on it waits for a replica that never comes. A pod that was ready once and is
    not any more counts for its first `expiry` seconds too: it may come back as likely as it may come up.
    """
    return [
        pod
        for pod in pods
        if not is_ready(pod)
        and "deletionTimestamp" not in pod["metadata"]
        and carries_traffic(pod)
        and not _broken(pod)
        and _age(pod, now) <= expiry
    ]


def is_ready(pod: Manifest) -> bool:
    """Whether its condition Ready is True."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def carries_traffic(pod: Manifest) -> bool:
    """Whether the Service selects it once it is ready."""
    return (pod["metadata"].get("labels") or {}).get(TRAFFIC) == "true"


def engine_status(pod: Manifest) -> Manifest:
    """The status of its engine container; empty where there is none yet."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return next((dict(status) for status in statuses if status["name"] == ENGINE_CONTAINER), {})


def _broken(pod: Manifest) -> bool:
    engine = engine_status(pod)
    waiting = engine.get("state", {}).get("waiting", {}).get("reason", "")
    ended = pod.get("status", {}).get("phase") in {"Failed", "Succeeded"}
    return ended or waiting in BROKEN or engine.get("restartCount", 0) > 0


def _age(pod: Manifest, now: datetime) -> float:
    created = pod["metadata"].get("creationTimestamp")
    return (now - datetime.fromisoformat(created)).total_seconds() if created else 0.0
