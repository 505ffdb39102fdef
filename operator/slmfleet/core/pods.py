"""What a pod's status says, in our words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from .names import ENGINE_CONTAINER
from .pod_status import condition, engine_status, is_ending, is_finished, is_ready
from .times import seconds_since
from .types import Inquiry, LogRequest, Manifest, PodEventsRequest

SETUP_PODS: Final = 3
"""How many of many pods that are not set up are asked about."""
SETUP_SECONDS: Final = 20
"""How long a container may be in the making before anybody asks why, and how old an answer may get."""


@dataclass(frozen=True)
class Exit:
    """How the engine container ended; `key` is the container's id."""

    code: int
    reason: str
    key: str
    start_error: str
    """Why the runtime could not even start it, in the runtime's words; empty for an engine that ran."""


@dataclass(frozen=True)
class PodFacts:
    """One engine pod."""

    name: str
    ready: bool
    deleting: bool
    finished: bool
    """Phase Failed or Succeeded (evicted, say): it will never run again."""
    verdict: str
    """The kubelet's or the scheduler's reason and message for the whole pod, such as an eviction."""
    uid: str
    unschedulable: str
    unschedulable_seconds: float
    """For how long no node has taken it."""
    waiting_reason: str
    waiting_message: str
    fell_silent: bool
    """Its engine was ready since it was started and is not any more."""
    being_set_up: bool
    """On a node, but volumes, network or image are not there yet."""
    exit: Exit | None
    inquiry: Inquiry | None
    """What would say why it is not serving, where the pod itself does not."""


def inquiries(pods: Iterable[PodFacts], answers: Mapping[str, str]) -> tuple[Inquiry, ...]:
    """What has to be asked to say why pods are not serving: one death speaks for all of them, and so does one warning.

    A pod that takes long to set up may have nothing to warn of, then the next one is asked, a few of them.
    """
    asked = [pod.inquiry for pod in pods if pod.inquiry is not None]
    logs = [inquiry for inquiry in asked if isinstance(inquiry, LogRequest)][:1]
    waiting: list[Inquiry] = []
    for inquiry in [inquiry for inquiry in asked if isinstance(inquiry, PodEventsRequest)][:SETUP_PODS]:
        waiting.append(inquiry)
        if answers.get(inquiry.key) != "":
            break
    return (*logs, *waiting)


def pod_facts(pod: Manifest, now: datetime) -> PodFacts:
    """Read a pod; anything that is absent counts as not yet known."""
    metadata, status = pod["metadata"], pod.get("status", {})
    scheduled, container = condition(pod, "PodScheduled"), engine_status(pod)
    waiting = container.get("state", {}).get("waiting", {})
    ready, ending, finished = is_ready(pod), is_ending(pod), is_finished(pod)
    ended = _exit(container)
    if finished or (ended is not None and container.get("started")):
        ended = None  # the pod's own end says more; a successor that came up is past that death
    setting_up = waiting.get("reason") == "ContainerCreating" and not ending
    inquiry: Inquiry | None = None
    if setting_up:
        inquiry = _why_not_set_up(metadata["uid"], scheduled.get("lastTransitionTime"), now)
    elif ended is not None and not ready and not ending:
        inquiry = LogRequest(metadata["name"], ENGINE_CONTAINER, ended.key)
    return PodFacts(
        name=metadata["name"],
        ready=ready,
        deleting=ending,
        finished=finished,
        verdict=": ".join(part for part in (status.get("reason", ""), status.get("message", "")) if part),
        uid=metadata.get("uid", ""),
        unschedulable=scheduled.get("message", "") if scheduled.get("status") == "False" else "",
        unschedulable_seconds=seconds_since(scheduled.get("lastTransitionTime"), now),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        fell_silent=bool(container.get("started")) and not ready and _was_ready(condition(pod, "Ready"), container),
        being_set_up=setting_up,
        exit=ended,
        inquiry=inquiry,
    )


def _was_ready(ready: Manifest, container: Manifest) -> bool:
    """Whether the pod turned unready after its engine was started; before, it was never ready with it.

    RFC 3339 in UTC compares as text.
    """
    since: str = ready.get("lastTransitionTime") or ""
    began: str = container.get("state", {}).get("running", {}).get("startedAt") or ""
    return bool(began) and since > began


def _why_not_set_up(uid: str, since: str | None, now: datetime) -> PodEventsRequest | None:
    """Asked again every SETUP_SECONDS, but not while it is as quick as it should be."""
    age = int(seconds_since(since, now)) // SETUP_SECONDS
    return PodEventsRequest(uid, f"{uid}/events/{age}") if age > 0 else None


def _exit(container: Manifest) -> Exit | None:
    """The death before the present container, or before the wait for one.

    A death is in `state` for the moment until the kubelet has decided on a successor. Whoever asks for its log then may
    be given the successor's, which is empty or names another cause.
    """
    ended = container.get("lastState", {}).get("terminated")
    if ended is None:
        return None
    key = ended.get("containerID") or f"{container['name']}/{container.get('restartCount', 0)}"
    reason = ended.get("reason", "")
    start_error = ended.get("message", "") if reason in {"StartError", "ContainerCannotRun"} else ""
    return Exit(ended["exitCode"], reason, key, start_error)
