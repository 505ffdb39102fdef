"""What the conditions and the phase say, read from a few numbers and facts about the fleet.

Texts hold no times, so that a status does not change while nothing happens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slmfleet.api.conditions import ConditionStatus, ConditionType, Reason
from slmfleet.api.status import Phase

from .names import REVISION
from .problems import Verdict, bounded
from .revisions import Revision
from .types import Manifest


@dataclass(frozen=True)
class Statement:
    """A condition before it has a time."""

    status: ConditionStatus
    reason: Reason
    message: str


Statements = Mapping[ConditionType, Statement]


@dataclass(frozen=True)
class Fleet:
    """The numbers and facts that conditions and phase are read from."""

    desired: int
    ready: int = 0
    updated: int = 0
    total: int = 0
    current: bool = False
    """The Deployment carries the wanted template."""
    settled: bool = False
    """It also has the wanted replicas, and its controller has seen both."""
    deadline_exceeded: str = ""
    problem: Verdict | None = None
    why_none: str = "spec.replicas is 0"
    """Why no replica is wanted, where none is."""


def fleet(desired: int, revision: str, deployment: Manifest | None, problem: Verdict | None) -> Fleet:
    """Count with the Deployment's own counters, since a pod alone does not say which template it has."""
    if deployment is None:
        return Fleet(desired, problem=problem)
    metadata, status = deployment["metadata"], deployment.get("status", {})
    conditions: dict[str, Any] = {c["type"]: c for c in status.get("conditions", [])}
    progress = conditions.get("Progressing", {})
    return Fleet(
        desired=desired,
        ready=status.get("readyReplicas", 0),
        updated=status.get("updatedReplicas", 0),
        total=status.get("replicas", 0),
        current=metadata.get("labels", {}).get(REVISION) == revision,
        settled=(
            metadata.get("labels", {}).get(REVISION) == revision
            and deployment["spec"].get("replicas") == desired
            and status.get("observedGeneration", 0) >= metadata.get("generation", 0)
        ),
        deadline_exceeded=progress.get("message", "") if progress.get("reason") == "ProgressDeadlineExceeded" else "",
        problem=problem,
    )


def accepted_(objections: Sequence[str]) -> Statement:
    """Is the spec carried out? Objections to one that runs already only matter to its next change."""
    text = "the spec is valid and its objects are ours"
    if objections:
        text = bounded(f"what runs is kept, but this release would not start it: {'; '.join(objections)}")
    return Statement("True", Reason.ACCEPTED, text)


def available(f: Fleet) -> Statement:
    """Does anything answer?"""
    if f.desired == 0:
        return Statement("True", Reason.SCALED_TO_ZERO, f"{f.why_none}: nothing runs, as wanted")
    if f.ready > 0:
        return Statement("True", Reason.AT_LEAST_ONE_READY, f"{min(f.ready, f.desired)} of {f.desired} replicas answer")
    if f.problem is not None:
        return Statement("False", f.problem.reason, f.problem.message)
    if f.total == 0:
        return Statement("False", Reason.NO_READY_REPLICA, "no pod exists yet")
    return Statement("False", Reason.STARTING, "the engine is starting: image, weights, compilation, warm-up")


def progressing(f: Fleet, revision: Revision, *, paused: bool) -> Statement:
    """Is the fleet on its way to the spec, or there already?"""
    if paused:
        waiting = "" if f.settled else "; the spec has changes that wait"
        return Statement("False", Reason.PAUSED, f"spec.paused is true: nothing is changed until it is false{waiting}")
    if f.deadline_exceeded:
        return Statement("False", Reason.DEADLINE_EXCEEDED, f.deadline_exceeded)
    if not f.current and f.total > 0:
        return Statement("True", Reason.ROLLING_OUT, "the spec has changed and is being applied")
    if f.updated < f.total:
        old = f.total - f.updated
        return Statement("True", Reason.ROLLING_OUT, f"{old} of {f.total} pods still have the previous template")
    if not f.settled or f.total != f.desired or f.ready < f.desired:
        return Statement("True", Reason.SCALING, f"{f.ready} of {f.desired} replicas are ready")
    if revision.outdated:
        return Statement(
            "True",
            Reason.TEMPLATE_OUTDATED,
            f"the pods keep the template that slmfleet {revision.renderer} rendered; this release renders another. "
            "A change of the spec, or spec.rollout.onOperatorUpgrade: Roll, takes it over",
        )
    return Statement("True", Reason.UP_TO_DATE, f"all {f.desired} replicas have the current template")


def ready(f: Fleet, available_: Statement, progressing_: Statement, url: str) -> Statement:
    """The sum: True when everything that is wanted is there, else the reason and message of what holds it back."""
    if available_.status == "False":
        return available_
    if f.desired > 0 and f.problem is not None:
        return Statement(
            "False", f.problem.reason, f"{min(f.ready, f.desired)} of {f.desired} replicas answer; {f.problem.message}"
        )
    if progressing_.reason in {Reason.ROLLING_OUT, Reason.SCALING, Reason.DEADLINE_EXCEEDED}:
        return Statement("False", progressing_.reason, progressing_.message)
    if f.ready < f.desired:
        return Statement("False", Reason.SCALING, f"{f.ready} of {f.desired} replicas are ready")
    if f.desired == 0:
        return available_
    return Statement("True", Reason.READY, f"{f.desired} of {f.desired} replicas answer on {url}")


def phase(f: Fleet, statements: Statements) -> Phase:
    """One word for the column."""
    available_, progressing_ = statements[ConditionType.AVAILABLE], statements[ConditionType.PROGRESSING]
    if statements[ConditionType.ACCEPTED].status == "False":
        return "Invalid"
    if progressing_.reason == Reason.PAUSED:
        return "Paused"
    if f.desired == 0:
        return "ScaledToZero" if f.total == 0 else "Scaling"
    if statements[ConditionType.READY].status == "True":
        return "Ready"
    if f.ready > 0 and (f.problem is not None or progressing_.reason == Reason.DEADLINE_EXCEEDED):
        return "Degraded"
    if f.ready > 0:
        return "Updating" if progressing_.reason == Reason.ROLLING_OUT else "Scaling"
    if available_.reason == Reason.STARTING:
        return "Starting"
    return "Pending" if available_.reason in {Reason.UNSCHEDULABLE, Reason.NO_READY_REPLICA} else "Failed"
