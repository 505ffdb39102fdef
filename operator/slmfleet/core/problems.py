"""Why replicas are not ready: a chain of checks, read from top to bottom; the first that speaks wins.

Each check looks at all pods for one kind of trouble and answers with the words of whoever knows best: the scheduler,
the kubelet, the API server or the engine itself. Texts hold no times and no counters, so that a status does not
change while nothing happens.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from slmfleet.api.conditions import Reason
from slmfleet.engine.causes.exits import explain_exit
from slmfleet.engine.causes.find import find_cause
from slmfleet.engine.redact import redact

from .pod_status import NO_IMAGE, NOT_MADE
from .pods import PodFacts
from .types import Manifest, PodEventsRequest, WriteFailure

MAX_MESSAGE: Final = 1024
_SECRET: Final = re.compile(r"\bsecret \"|\bin Secret ")
_CONFIG_MAP: Final = re.compile(r"\bconfigmap \"|\bin ConfigMap ")


@dataclass(frozen=True)
class Verdict:
    """A reason and its message."""

    reason: Reason
    message: str


def refusal(failure: WriteFailure) -> Verdict:
    """What the API server said to a write."""
    text = f"the API server refuses {failure.ref.kind} {failure.ref.name}: {failure.message}"
    return Verdict(Reason.CHILD_REFUSED, bounded(text))


@dataclass(frozen=True)
class Situation:
    """What the checks look at: the pods that should serve, the Deployment, and the answers to inquiries."""

    pods: tuple[PodFacts, ...]
    deployment: Manifest | None
    answers: Mapping[str, str]


Check = Callable[[Situation], Verdict | None]


def pod_refused(s: Situation) -> Verdict | None:
    """The API server accepts no pods: a quota, an admission policy, Pod Security."""
    refusal = pod_refusal(s.deployment)
    return Verdict(Reason.POD_REFUSED, refusal) if refusal else None


def pod_refusal(deployment: Manifest | None) -> str:
    """Why the API server accepts no more pods of a Deployment; empty while it does."""
    for condition in (deployment or {}).get("status", {}).get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return bounded(f"no pod can be created: {condition.get('message', '')}")
    return ""


def unschedulable(s: Situation) -> Verdict | None:
    """No node takes the pod."""
    for pod in s.pods:
        if pod.unschedulable:
            return Verdict(Reason.UNSCHEDULABLE, bounded(f"pod {pod.name}: {pod.unschedulable}"))
    return None


def image_pull(s: Situation) -> Verdict | None:
    """The image cannot be had."""
    for pod in _waiting(s.pods, NO_IMAGE):
        return Verdict(Reason.IMAGE_PULL, bounded(f"pod {pod.name}: {pod.waiting_reason}: {pod.waiting_message}"))
    return None


def configuration(s: Situation) -> Verdict | None:
    """The kubelet cannot make the container: a Secret or ConfigMap is missing, or its settings are refused."""
    for pod in _waiting(s.pods, NOT_MADE):
        words = f"pod {pod.name}: {bounded(pod.waiting_message)}"
        if _SECRET.search(pod.waiting_message):
            return Verdict(Reason.SECRET_MISSING, f"{words}: create it, or correct spec.model.secretRef or spec.pod")
        if _CONFIG_MAP.search(pod.waiting_message):
            return Verdict(Reason.CONFIG_MISSING, f"{words}: create it, or correct spec.pod")
        return Verdict(Reason.POD_SETUP_FAILED, words)
    return None


def setup(s: Situation) -> Verdict | None:
    """The kubelet cannot prepare the pod: a volume, its network. Only its events say so."""
    for pod in s.pods:
        if isinstance(pod.inquiry, PodEventsRequest) and (words := s.answers.get(pod.inquiry.key)):
            volume = words.startswith(("FailedMount", "FailedAttachVolume", "FailedMapVolume"))
            reason = Reason.VOLUME_NOT_READY if volume else Reason.POD_SETUP_FAILED
            return Verdict(reason, bounded(f"pod {pod.name}: {words}"))
    return None


def crash_loop(s: Situation) -> Verdict | None:
    """The engine dies; its own log says why."""
    for pod in s.pods:
        if pod.exit is not None:
            return Verdict(Reason.CRASH_LOOP, bounded(f"pod {pod.name}: {_death(pod, s.answers)}"))
    return None


def ended(s: Situation) -> Verdict | None:
    """The pod as a whole is over: evicted, preempted, its node shut down."""
    for pod in s.pods:
        if pod.finished:
            return Verdict(Reason.POD_ENDED, bounded(f"pod {pod.name} ended: {pod.verdict or 'no reason given'}"))
    return None


def not_answering(s: Situation) -> Verdict | None:
    """The engine runs and had come up, but its health check fails: hung or overloaded."""
    for pod in s.pods:
        if pod.fell_silent:
            text = f"pod {pod.name}: the engine came up, but its health check fails now: it hangs or is overloaded"
            return Verdict(Reason.NOT_ANSWERING, text)
    return None


# What needs a person comes before what needs room: four crashing replicas say more than a fifth one without a node.
CHAIN: tuple[Check, ...] = (
    pod_refused,
    image_pull,
    configuration,
    setup,
    crash_loop,
    not_answering,
    unschedulable,
    ended,
)


def find_problem(pods: Iterable[PodFacts], deployment: Manifest | None, answers: Mapping[str, str]) -> Verdict | None:
    """The first thing that keeps replicas from being ready; None while they are ready or simply on their way."""
    alive = [p for p in pods if not p.deleting and not p.finished]
    # A ReplicaSet replaces a pod that is over and leaves it lying: it only matters while its successor is not there.
    over = [p for p in pods if p.finished and not alive]
    waiting = tuple(p for p in [*alive, *over] if not p.ready)
    situation = Situation(waiting, deployment, answers)
    return next((verdict for check in CHAIN if (verdict := check(situation)) is not None), None)


def _death(pod: PodFacts, answers: Mapping[str, str]) -> str:
    exit_ = pod.exit
    assert exit_ is not None
    if exit_.start_error:
        return f"its container cannot be started: {exit_.start_error}"
    cause = find_cause(answers.get(exit_.key, ""))
    if cause is None or exit_.reason == "OOMKilled":
        return f"the engine {explain_exit(exit_.code, exit_.reason)} (exit code {exit_.code})"
    hint = f" ({cause.hint})" if cause.hint else ""
    return f"the engine exited with {exit_.code}: {cause.message}{hint}"


def _waiting(pods: Iterable[PodFacts], reasons: Iterable[str]) -> Iterable[PodFacts]:
    return (pod for pod in pods if pod.waiting_reason in reasons)


def bounded(text: str) -> str:
    """One redacted line that fits into a condition."""
    clean = " ".join(redact(text[: 4 * MAX_MESSAGE]).split())
    return clean if len(clean) <= MAX_MESSAGE else clean[: MAX_MESSAGE - 1] + "…"
