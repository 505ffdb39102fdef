"""The whole status of an SLMDeployment, and the events that its changes are worth."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

from pydantic import BaseModel

from slmfleet.api.cold_start import ColdStartStatus
from slmfleet.api.conditions import Condition, ConditionType, Reason
from slmfleet.api.describe import model_in
from slmfleet.api.scaling import ScalingStatus
from slmfleet.api.status import EngineStatus, RevisionStatus, SLMDeploymentStatus
from slmfleet.engine.resolution import Resolution

from .accept import Accepted
from .autoscale.advice import Advice
from .autoscale.report import scaling_active, scaling_events, scaling_status
from .compatibility import engine_compatible, engine_unchecked
from .conditions import Fleet, Statement, Statements, accepted_, available, fleet, phase, progressing, ready
from .names import ENGINE_CONTAINER, Names
from .problems import Verdict
from .revisions import Revision
from .times import stamp
from .types import Event, Manifest

Part = TypeVar("Part", EngineStatus, RevisionStatus, ScalingStatus, Condition)

_QUIET: Final = frozenset({Reason.STARTING, Reason.PAUSED, Reason.SHADOW})
"""Reasons of a False condition that are no trouble."""
_UNTOLD: Final = frozenset(
    {
        Reason.NO_READY_REPLICA,
        Reason.NOT_ACCEPTED,
        Reason.COMPATIBLE,
        # Adapters on their way; their own events say more.
        Reason.FETCHING,
        Reason.LOADING,
        Reason.BUSY,
        Reason.NOT_SERVING,
    }
)


@dataclass(frozen=True)
class Running:
    """What the fleet runs, besides its numbers of replicas."""

    gpus: int = 0
    url: str = ""
    engine: EngineStatus | None = None
    revision: RevisionStatus | None = None
    scaling: ScalingStatus | None = None
    cold_start: ColdStartStatus | None = None

    @classmethod
    def carried(cls, before: Manifest) -> "Running":
        """As the last status told, for a spec that is not carried out."""
        return cls(
            before.get("gpus", 0),
            before.get("url", ""),
            _carried(EngineStatus, before.get("engine")),
            _carried(RevisionStatus, before.get("revision")),
            _carried(ScalingStatus, before.get("scaling")),
            ColdStartStatus.of(before.get("coldStart")),
        )


@dataclass(frozen=True)
class Target:
    """The replicas that the Deployment should have, and what the scaling loop said about them."""

    replicas: int
    advice: Advice | None = None
    cold_start: ColdStartStatus | None = None
    """How long they take to start; None where nobody measured since the operator started."""
    adapters: Statement | None = None
    """The condition AdaptersReady; None where there is no adapter."""


def accepted_status(
    slm: Manifest,
    accepted: Accepted,
    revision: Revision,
    target: Target,
    deployment: Manifest | None,
    problem: Verdict | None,
    now: datetime,
) -> Manifest:
    """The status of a deployment whose spec is carried out."""
    names, spec, before = Names.of(slm), accepted.spec, slm.get("status", {})
    # A paused spec is not what runs: the numbers, the engine and the template are those of the Deployment as it is.
    held = deployment if spec.paused else None
    desired = held["spec"].get("replicas", 0) if held is not None else target.replicas
    facts = fleet(desired, revision.name, deployment, problem)
    if held is not None:
        facts = replace(facts, settled=facts.settled and desired == target.replicas)
    scaling: ScalingStatus | None = None
    if spec.scaling is not None:
        said = _carried(ScalingStatus, before.get("scaling"))
        scaling = scaling_status(spec.scaling, target.advice, said, now)
        if spec.scales:
            facts = replace(facts, why_none="there was no request for spec.scaling.scaleToZero.idleAfter")
    available_ = available(facts)
    progressing_ = progressing(facts, revision, paused=spec.paused)
    statements = {
        ConditionType.ACCEPTED: accepted_(accepted.objections),
        ConditionType.ENGINE_COMPATIBLE: engine_compatible(accepted.resolution, revision.adjusted),
        ConditionType.AVAILABLE: available_,
        ConditionType.PROGRESSING: progressing_,
        ConditionType.READY: ready(facts, available_, progressing_, names.url),
    }
    if spec.scaling is not None:
        told = next((c for c in before.get("conditions", []) if c["type"] == ConditionType.SCALING_ACTIVE), None)
        statements[ConditionType.SCALING_ACTIVE] = scaling_active(
            spec.scaling, target.advice, scaling, _carried(Condition, told)
        )
    if target.adapters is not None:
        statements[ConditionType.ADAPTERS_READY] = target.adapters
    carried = Running.carried(before)
    cold_start = target.cold_start or carried.cold_start
    stays = held is not None and not facts.current
    running = carried if stays else _rendered(accepted, revision, desired, names.url)
    return _status(slm, facts, statements, now, replace(running, scaling=scaling, cold_start=cold_start))


def _rendered(accepted: Accepted, revision: Revision, desired: int, url: str) -> Running:
    """What so many replicas of a revision run; nothing of what the scaling loop says."""
    spec = accepted.spec
    image = next(c["image"] for c in revision.template["spec"]["containers"] if c["name"] == ENGINE_CONTAINER)
    engine = {"version": spec.engine.version, "image": image, "adjusted": revision.adjusted or None}
    return Running(
        gpus=desired * spec.parallelism.tensor if accepted.accelerator.resource_name else 0,
        url=url,
        engine=_carried(EngineStatus, engine),
        revision=RevisionStatus(name=revision.name, renderer=revision.renderer),
    )


def rejected_status(
    slm: Manifest,
    verdict: Verdict,
    deployment: Manifest | None,
    problem: Verdict | None,
    now: datetime,
    resolution: Resolution | None,
) -> Manifest:
    """The status of a deployment whose spec cannot be carried out; what an earlier spec started runs on.

    `resolution` is what the spec comes to, if it can be read.
    """
    running = (deployment or {}).get("spec", {}).get("replicas", 0)
    facts = fleet(running, "", deployment, problem)
    none = Statement("False", Reason.NO_READY_REPLICA, "nothing was started")
    statements = {
        ConditionType.ACCEPTED: Statement("False", verdict.reason, verdict.message),
        ConditionType.ENGINE_COMPATIBLE: engine_unchecked()
        if resolution is None
        else engine_compatible(resolution, [asdict(a) for a in resolution.adjustments]),
        ConditionType.AVAILABLE: available(facts) if deployment is not None else none,
        ConditionType.PROGRESSING: Statement(
            "False", Reason.NOT_ACCEPTED, "nothing is changed until the spec is accepted"
        ),
        ConditionType.READY: Statement("False", verdict.reason, verdict.message),
    }
    running = Running.carried(slm.get("status", {})) if deployment is not None else Running()
    return _status(slm, facts, statements, now, running)


def transitions(slm: Manifest, status: Manifest) -> tuple[Event, ...]:
    """An event for each condition whose status or reason changed and that says something of its own.

    A Ready that repeats another condition does not, nor what the engine has against a refused spec, nor what follows
    from a spec that was not accepted; that no pod exists yet is over before anybody reads it, and that flags are as
    they should be is no news.
    """
    before = {c["type"]: (c["status"], c["reason"]) for c in slm.get("status", {}).get("conditions", [])}
    refused = any(c["type"] == ConditionType.ACCEPTED and c["status"] == "False" for c in status["conditions"])
    events = []
    for condition in status["conditions"]:
        now = (condition["status"], condition["reason"])
        others = {c["reason"] for c in status["conditions"] if c["type"] != condition["type"]}
        repeats = condition["type"] == ConditionType.READY and now[1] in others
        repeats |= condition["type"] == ConditionType.ENGINE_COMPATIBLE and now[0] == "False" and refused
        if before.get(condition["type"]) == now or repeats or now[1] in _UNTOLD or now[0] == "Unknown":
            continue
        normal = now[0] == "True" or now[1] in _QUIET
        events.append(Event("Normal" if normal else "Warning", now[1], condition["type"], condition["message"]))
    scaling = [_carried(ScalingStatus, said.get("scaling")) for said in (slm.get("status", {}), status)]
    return (*events, *scaling_events(*scaling))


def _status(slm: Manifest, f: Fleet, statements: Statements, now: datetime, running: Running) -> Manifest:
    names = Names.of(slm)
    return SLMDeploymentStatus(
        observed_generation=slm["metadata"].get("generation", 0),
        phase=phase(f, statements),
        ready=f"{f.ready}/{f.desired}",
        desired_replicas=f.desired,
        replicas=f.total,
        ready_replicas=f.ready,
        updated_replicas=f.updated,
        gpus=running.gpus,
        selector=",".join(f"{key}={value}" for key, value in names.selector.items()),
        url=running.url,
        engine=running.engine,
        revision=running.revision,
        scaling=running.scaling,
        cold_start=running.cold_start,
        conditions=conditions(slm, statements, now),
    ).to_manifest()


def _carried(model: type[Part], before: Manifest | None) -> Part | None:
    """A part of the last status as this release knows it: a newer one may have written more into it."""
    if before is None:
        return None
    return model.model_validate(_known(model, before))


def _known(model: type[BaseModel], value: Manifest) -> Manifest:
    """The fields of a value that the model has, and those of the models in it."""
    return {
        key: [_known(inner, item) for item in value[key]]
        if (inner := model_in(field.annotation)) is not None and isinstance(value[key], list)
        else value[key]
        for name, field in model.model_fields.items()
        if (key := field.alias or name) in value
    }


def conditions(obj: Manifest, statements: Statements, now: datetime) -> list[Condition]:
    """The statements with their times: a condition keeps its time while its status stays."""
    before = {c["type"]: c for c in obj.get("status", {}).get("conditions", [])}
    changed = stamp(now)
    generation = obj["metadata"].get("generation", 0)
    return [
        Condition(
            type=kind,
            status=said.status,
            reason=said.reason,
            message=said.message,
            last_transition_time=old["lastTransitionTime"] if old.get("status") == said.status else changed,
            observed_generation=generation,
        )
        for kind, said in statements.items()
        for old in (before.get(kind, {}),)
    ]
