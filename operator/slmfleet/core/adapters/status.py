"""The status of a LoRAAdapter, and the events that its changes are worth."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from slmfleet.api.adapter_facts import AdapterFacts
from slmfleet.api.conditions import ConditionType, Reason
from slmfleet.api.loraadapter import AdapterPod, AdapterVersion, LoRAAdapterStatus, Phase
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.conditions import Statement, Statements
from slmfleet.core.problems import Verdict, bounded
from slmfleet.core.status import conditions
from slmfleet.core.times import stamp
from slmfleet.core.types import Event, Manifest

from .adapter import Adapter, Version
from .reports import FAILED, LOADED, Held, reason_of
from .room import no_slot
from .seats import Seat
from .versions import Step

_UNDER_WAY: Final = frozenset({Reason.FETCHING, Reason.LOADING, Reason.BUSY, Reason.NOT_SERVING})
"""Reasons of a False condition that are no trouble."""


@dataclass(frozen=True)
class Situation:
    """What is known and decided about one adapter."""

    adapter: Adapter
    deployment: SLMDeploymentSpec
    refused: Verdict | None
    """Why it, or its wanted version, may not be loaded."""
    fetched: Statement
    facts: AdapterFacts | None
    target: Version | None
    """What should be loaded; None where that is not known or not allowed."""
    step: Step
    seats: tuple[Seat, ...]
    wanted: int
    """Pods that should have it, those that are still to come included."""
    room: int
    """Pods that there are for it."""
    no_service: Verdict | None = None
    """Why it lacks the Service that it wants."""

    @cached_property
    def shown(self) -> Version | None:
        """The version that its pods are asked about."""
        return self.target or self.step.track.active

    @cached_property
    def _shown_name(self) -> str:
        return "" if self.shown is None else self.shown.named(self.adapter.served_name)

    def held(self, seat: Seat) -> Held | None:
        """How the shown version stands in a pod."""
        if seat.before is not None and self.shown == self.adapter.track.active:
            told = seat.before
            return Held(str(told.get("state")), "", str(told.get("reason") or ""), str(told.get("message") or ""))
        return None if seat.report is None else seat.report.adapters.get(self._shown_name)

    def serving(self, seat: Seat) -> Version | None:
        """The version that answers to the served name in a pod that clients reach."""
        return self._serving[seat.name]

    @cached_property
    def answering(self) -> int:
        """Pods in which clients get it."""
        return sum(self._serving[seat.name] is not None for seat in self.staying)

    @cached_property
    def staying(self) -> tuple[Seat, ...]:
        """The chosen pods that are not being emptied."""
        return tuple(seat for seat in self.seats if not seat.leaving)

    @cached_property
    def _serving(self) -> Mapping[str, Version | None]:
        """By pod: an adapter's status asks several times, and a fleet has thousands of pairs."""
        served = self.adapter.served_name
        by_name = {version.named(served): version for version in reversed(self.step.versions)}
        by_digits = {version.short: version for version in by_name.values()}

        def one(seat: Seat) -> Version | None:
            if not seat.ready:
                return None
            if seat.before is not None:
                return by_digits.get(str(seat.before.get("serving")))
            name = None if seat.report is None else seat.report.answering(served)
            return None if name is None else by_name.get(name)

        return {seat.name: one(seat) for seat in self.seats}


def status_of(s: Situation, now: datetime) -> Manifest:
    """The whole status."""
    statements = statements_of(s)
    track = s.step.track
    return LoRAAdapterStatus(
        observed_generation=s.adapter.manifest["metadata"].get("generation", 0),
        phase=phase(s, statements),
        loaded=f"{s.answering}/{s.wanted}",
        rank=_rank(s),
        version="" if track.active is None else track.active.short,
        source=s.facts,
        active=_told(track.active),
        previous=_told(track.previous),
        moved_at=None if track.previous is None or track.moved_at is None else stamp(track.moved_at),
        pods=[_pod(s, seat) for seat in s.seats] or None,
        conditions=conditions(s.adapter.manifest, statements, now),
    ).to_manifest()


def untaken(manifest: Manifest, verdict: Verdict, now: datetime, *, keep: bool) -> Manifest:
    """The status of an adapter that nothing is done for; with `keep`, what its pods have stays as it was told."""
    said = Statement("False", verdict.reason, verdict.message)
    statements = {ConditionType.ACCEPTED: said, ConditionType.READY: said}
    before = (manifest.get("status") or {}) if keep else {}
    refused = verdict.reason not in (Reason.DEPLOYMENT_MISSING, Reason.DEPLOYMENT_NOT_ACCEPTED)
    serves = not before.get("loaded", "0/").startswith("0/")
    fresh = LoRAAdapterStatus(
        observed_generation=manifest["metadata"].get("generation", 0),
        phase="Degraded" if serves else "Refused" if refused else "Pending",
        conditions=conditions(manifest, statements, now),
    ).to_manifest()
    return {**before, **{key: fresh[key] for key in fresh if key in _DECIDED or key not in before}}


_DECIDED: Final = frozenset({"observedGeneration", "phase", "conditions"})


def statements_of(s: Situation) -> Statements:
    """What the conditions say."""
    accepted = Statement("True", Reason.ACCEPTED, "nothing is known that forbids to load it")
    if s.refused is not None:
        serves = "" if s.step.track.active is None else f"; version {s.step.track.active.short} goes on"
        accepted = Statement("False", s.refused.reason, f"{s.refused.message}{serves}")
    found = {
        ConditionType.ACCEPTED: accepted,
        ConditionType.FETCHED: s.fetched,
        ConditionType.LOADED: loaded(s),
        ConditionType.AVAILABLE: available(s),
    }
    first = next((said for said in found.values() if said.status != "True"), None)
    ready = first and Statement("False", first.reason, first.message)
    return found | {ConditionType.READY: ready or _ready(s)}


def _ready(s: Situation) -> Statement:
    text = f'{s.answering} of {s.wanted} pods answer to "{s.adapter.served_name}"'
    if s.wanted == 0:
        text = "no replica runs; the next one loads it before it is ready"
    return Statement("True", Reason.READY, text)


def loaded(s: Situation) -> Statement:
    """Have all chosen pods loaded the wanted version?"""
    if s.shown is None:
        return Statement("False", Reason.LOADING, "there is nothing to load yet")
    for seat in s.seats:
        held = s.held(seat)
        if held is not None and held.state == FAILED:
            text = f"pod {seat.name}: {held.told}"
            return Statement("False", reason_of(held.reason, Reason.LOAD_FAILED), bounded(text + _stays(s)))
    if s.step.waits_for_slot or len(s.staying) < s.room:
        name = s.adapter.spec.deployment_ref.name
        what = f"{name} has a free slot for it in only {len(s.staying)} of {s.room} pods"
        if s.step.waits_for_slot:
            what = f"a new version is loaded beside the old one, and {name} has no free slot for it"
        said = no_slot(what, s.deployment)
        return Statement("False", said.reason, said.message + _stays(s))
    missing = [seat for seat in s.staying if seat.ready and not _has(s, seat)]
    if missing:
        return _missing(s, missing)
    if s.wanted == 0:
        return Statement("True", Reason.LOADED, f"no replica runs that could lack version {s.shown.short}")
    if not any(seat.ready for seat in s.staying):
        return Statement("False", Reason.LOADING, "no chosen pod is ready yet")
    return Statement("True", Reason.LOADED, f"{_having(s)} have loaded version {s.shown.short}")


def _missing(s: Situation, missing: list[Seat]) -> Statement:
    held = s.held(missing[0])
    if missing[0].silence:
        text = f"pod {missing[0].name}: its guard tells nothing: {missing[0].silence}"
        return Statement("False", Reason.GUARD_SILENT, bounded(text + _stays(s)))
    busy = held is not None and held.reason == Reason.BUSY
    why = ", which waits for running requests of adapters to end (vllm#47724)" if busy else ""
    text = f"{_having(s)} have loaded it{why}"
    return Statement("False", Reason.BUSY if busy else Reason.LOADING, text + _stays(s))


def _having(s: Situation) -> str:
    return f"{sum(_has(s, seat) for seat in s.staying)} of {s.wanted} pods"


def _stays(s: Situation) -> str:
    active = s.step.track.active
    return "" if active is None or active == s.target else f"; version {active.short} serves until then"


def available(s: Situation) -> Statement:
    """Does anybody get it, and in the way that the spec wants?"""
    if s.no_service is not None:
        return Statement("False", s.no_service.reason, s.no_service.message)
    if s.answering:
        return Statement("True", Reason.SERVING, f"{s.answering} of {s.wanted} pods answer")
    if s.wanted == 0:
        return Statement("True", Reason.SCALED_TO_ZERO, "no replica runs")
    return Statement("False", Reason.NOT_SERVING, f'no pod answers to "{s.adapter.served_name}"')


def phase(s: Situation, statements: Statements) -> Phase:
    """One word for the column."""
    ready = statements[ConditionType.READY]
    if ready.status == "True":
        return "Ready"
    if ready.reason in _UNDER_WAY:
        if s.answering:
            return "Updating"
        return "Fetching" if statements[ConditionType.FETCHED].status != "True" else "Loading"
    if s.answering:
        return "Degraded"
    if s.refused is not None:
        return "Refused"
    return "Pending" if ready.reason in (Reason.NO_SLOT, Reason.GUARD_SILENT) else "Failed"


def transitions(manifest: Manifest, status: Manifest) -> tuple[Event, ...]:
    """An event for each condition whose status or reason changed, but for what Ready repeats and what is under way."""
    before = {c["type"]: (c["status"], c["reason"]) for c in (manifest.get("status") or {}).get("conditions") or ()}
    events = []
    for condition in status["conditions"]:
        now = (condition["status"], condition["reason"])
        repeats = condition["type"] == ConditionType.READY and now[0] == "False"
        if before.get(condition["type"]) == now or repeats or now[1] in (*_UNDER_WAY, Reason.ACCEPTED, Reason.SERVING):
            continue
        normal = now[0] == "True"
        events.append(Event("Normal" if normal else "Warning", now[1], condition["type"], condition["message"]))
    return tuple(events)


def adapters_ready(statuses: Iterable[tuple[str, Manifest]]) -> Statement | None:
    """The condition of the SLMDeployment, by its adapters' names and statuses; None where it has none."""
    every = [(name, _condition(status, ConditionType.READY)) for name, status in statuses]
    if not every:
        return None
    waiting = [(name, ready) for name, ready in every if ready["status"] != "True"]
    if not waiting:
        return Statement("True", Reason.ADAPTERS_READY, f"all {len(every)} adapters are ready")
    name, ready = waiting[0]
    done = f"{len(every) - len(waiting)} of {len(every)} adapters are ready"
    return Statement("False", Reason(ready["reason"]), bounded(f"{done}; {name}: {ready['message']}"))


def _condition(status: Manifest, kind: ConditionType) -> Manifest:
    return next(dict(c) for c in status["conditions"] if c["type"] == kind)


def _has(s: Situation, seat: Seat) -> bool:
    held = s.held(seat)
    return held is not None and held.state == LOADED


def _rank(s: Situation) -> int | None:
    """While nothing is known of the wanted version, the one that was told last: that of the version that serves."""
    if s.facts is not None:
        return s.facts.rank
    return None if s.step.track.active is None else (s.adapter.manifest.get("status") or {}).get("rank")


def _pod(s: Situation, seat: Seat) -> AdapterPod:
    held, serving = s.held(seat), s.serving(seat)
    state = "Waiting" if held is None else held.state if held.state in (LOADED, FAILED) else "Loading"
    return AdapterPod(
        name=seat.name,
        state=state,  # type: ignore[arg-type]
        serving="" if serving is None else serving.short,
        reason=None if held is None else held.reason[:64] or None,
        message=None if held is None or not held.message else bounded(held.message) or None,
    )


def _told(version: Version | None) -> AdapterVersion | None:
    return None if version is None else AdapterVersion(digest=version.digest, path=version.path)
