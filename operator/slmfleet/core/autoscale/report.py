"""What is said about the replicas of a fleet that scales: status.scaling, the condition, the events.

Numbers of the load change with every look; what is written changes with a decision, or once a minute.
"""

from datetime import datetime
from typing import Final

from slmfleet.api.conditions import Condition, ConditionType, Reason
from slmfleet.api.scaling import CHANGES, Scaling, ScalingChange, ScalingNeed, ScalingStatus
from slmfleet.core.conditions import Statement
from slmfleet.core.problems import bounded
from slmfleet.core.times import seconds_since, stamp
from slmfleet.core.types import Event

from .advice import Advice
from .decision import Decision

REFRESH_SECONDS: Final = 60.0
"""After so long without a new decision the numbers are written again, should they have changed."""
_CHANGE_MESSAGE: Final = 512


def scaling_status(
    scaling: Scaling, advice: Advice | None, before: ScalingStatus | None, now: datetime
) -> ScalingStatus | None:
    """status.scaling; without advice, what was said before."""
    if advice is None:
        return before
    decision, time = advice.decision, stamp(now)
    fresh = _written(scaling, advice, time, _changes(decision, before, time))
    if before is None or not _same_decision(fresh, before):
        return fresh
    told = fresh.model_copy(update={"time": before.time})
    recent = seconds_since(before.time, now) < REFRESH_SECONDS
    return before if recent or told == before else fresh


def scaling_active(
    scaling: Scaling, advice: Advice | None, status: ScalingStatus | None, before: Condition | None
) -> Statement:
    """Is the number of replicas what the load asks for?"""
    if advice is None or status is None:
        if before is not None:
            return Statement(before.status, Reason(before.reason), before.message)
        return Statement("Unknown", Reason.NO_SIGNALS, "the engines are being read; the replicas stay as they are")
    if scaling.mode == "Shadow":
        text = f"spec.scaling.mode is Shadow: spec.replicas decides, and {status.desired} would run: {status.message}"
        return Statement("False", Reason.SHADOW, bounded(text))
    if advice.missing:
        return Statement("False", Reason.NO_SIGNALS, bounded(f"{advice.missing}; no replica is taken away"))
    bound = advice.decision.bound
    if bound is not None and bound.reason:
        reason = Reason(bound.reason)
        text = f"{status.message} ({status.bound or bound.why})"
        return Statement("True" if reason == Reason.AT_MAXIMUM else "False", reason, bounded(text))
    return Statement("True", Reason.SCALING, status.message)


def scaling_events(before: ScalingStatus | None, status: ScalingStatus | None) -> tuple[Event, ...]:
    """An event for a change of the desired replicas."""
    if before is None or status is None or status.desired == before.desired:
        return ()
    reason = "ScaledUp" if status.desired > before.desired else "ScaledDown"
    if status.mode == "Shadow":
        reason = "WouldScale"
    return (Event("Normal", reason, ConditionType.SCALING_ACTIVE, status.message),)


def _written(scaling: Scaling, advice: Advice, time: str, changes: list[ScalingChange]) -> ScalingStatus:
    decision = advice.decision
    return ScalingStatus(
        mode=scaling.mode,
        desired=decision.desired,
        reason=decision.reason,
        message=bounded(decision.message),
        bound=_ceiling(decision),
        needs=[
            ScalingNeed(name=need.name, replicas=f"{need.replicas:.2f}", formula=need.formula[:512])
            for need in decision.needs
        ]
        or None,
        time=time,
        changes=changes or None,
        learned=dict(advice.learned) or None,
    )


def _ceiling(decision: Decision) -> str | None:
    """What keeps the replicas below what the load asks for; a floor is told by the message alone."""
    bound = decision.bound
    return bounded(bound.why)[:_CHANGE_MESSAGE] if bound is not None and bound.reason else None


def _same_decision(one: ScalingStatus, other: ScalingStatus) -> bool:
    """Which need is the largest changes with every look, and is told with the next numbers."""
    return (one.mode, one.desired, one.bound is None) == (other.mode, other.desired, other.bound is None)


def _changes(decision: Decision, before: ScalingStatus | None, time: str) -> list[ScalingChange]:
    known = (before and before.changes) or []
    if before is None or before.desired == decision.desired:
        return known
    message = bounded(decision.message)[:_CHANGE_MESSAGE]
    change = ScalingChange(
        time=time, from_=before.desired, to=decision.desired, reason=decision.reason, message=message
    )
    return [change, *known][:CHANGES]
