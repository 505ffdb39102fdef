"""Which pods of a fleet answer, and which are on their way."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from slmfleet.core.names import TRAFFIC
from slmfleet.core.pod_status import NO_IMAGE, NOT_MADE, engine_status, is_ending, is_finished, is_ready
from slmfleet.core.times import seconds_since
from slmfleet.core.types import Manifest

BROKEN: Final = NO_IMAGE | NOT_MADE | {"CrashLoopBackOff"}
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
        if is_ready(pod) and not is_ending(pod)
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
        and not is_ending(pod)
        and carries_traffic(pod)
        and not _broken(pod)
        and seconds_since(pod["metadata"].get("creationTimestamp"), now) <= expiry
    ]


def carries_traffic(pod: Manifest) -> bool:
    """Whether the Service selects it once it is ready."""
    return (pod["metadata"].get("labels") or {}).get(TRAFFIC) == "true"


def _broken(pod: Manifest) -> bool:
    engine = engine_status(pod)
    waiting = engine.get("state", {}).get("waiting", {}).get("reason", "")
    return is_finished(pod) or waiting in BROKEN or engine.get("restartCount", 0) > 0
