"""All adapters of one SLMDeployment: from what is observed to what is to be done about them. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from slmfleet.api.conditions import Reason
from slmfleet.api.quantities import seconds
from slmfleet.core.accept import Accepted
from slmfleet.core.autoscale.drain import Spread
from slmfleet.core.build.adapter_service import adapter_service
from slmfleet.core.build.adapter_volume import loads_adapters
from slmfleet.core.conditions import Statement
from slmfleet.core.names import Names
from slmfleet.core.pod_status import incarnation, is_ready
from slmfleet.core.problems import Verdict, refusal
from slmfleet.core.revisions import Revision
from slmfleet.core.types import (
    AdapterOutcome,
    Config,
    Inquiry,
    JobProgress,
    Manifest,
    Observed,
    Plan,
    Ref,
    TableOrder,
)

from .adapter import Adapter, Track, in_order, read_adapter
from .admission import closed, conflicts, objection
from .endpoints import endpoints
from .files import LOOK_SECONDS, Deployment, Files, controller, files_of, obsolete
from .placement import Pod, Wish, place, refused
from .room import no_slot, smallest
from .seats import Seat, pods_of, seat_of
from .status import Situation, adapters_ready, status_of, transitions, untaken
from .tables import starting_table, table, table_config_map
from .versions import Place, Step, advance

FETCHES_ASKED: Final = 8
"""So many running Jobs of a fleet at most are asked how far they are: each costs two requests to the API server."""

Entry = tuple[str, Mapping[str, Any]]
"""A line of a table: engine-side name, and what is to be loaded under it."""


@dataclass(frozen=True)
class AdapterPlan:
    """What the adapters add to the plan of their deployment."""

    plan: Plan = field(default_factory=Plan)
    table: Manifest | None = None
    """The ConfigMap for starting engines, which is the deployment's."""
    ready: Statement | None = None
    """The condition AdaptersReady."""
    spreads: tuple[Spread, ...] = ()
    """Of the adapters that are on a number of pods."""


def unserved(
    adapters: Iterable[Manifest], verdict: Verdict, now: datetime, *, keep: bool
) -> tuple[AdapterOutcome, ...]:
    """What is said about adapters of a deployment that is not there, or not carried out."""
    return tuple(_untaken(manifest, verdict, now, keep=keep) for manifest in in_order(adapters))


def adapters_plan(
    observed: Observed, accepted: Accepted, revision: Revision, replicas: int, config: Config, now: datetime
) -> AdapterPlan:
    """Everything that is to be done for the adapters of a deployment whose spec is carried out."""
    names, spec = Names.of(observed.slm), accepted.spec
    shut = closed(names, spec) or _outdated(names, revision)
    if shut is not None:
        outcomes = unserved(observed.adapters, shut, now, keep=False)
        return AdapterPlan(
            Plan(outcomes=outcomes, patches=endpoints(observed.pods, {}, now).patches), ready=_ready(outcomes)
        )
    seats = pods_of(observed)
    reader = next((pod["status"]["podIP"] for pod in seats if is_ready(pod)), None)
    known = tuple(seat_of(pod, observed.reports) for pod in seats)
    room = smallest(seats or [revision.template])
    d = Deployment(observed, names, spec, accepted.accelerator, replicas, room, config, reader, known, now)
    read = {m["metadata"]["name"]: read_adapter(m) for m in in_order(observed.adapters)}
    adapters = [adapter for adapter in read.values() if isinstance(adapter, Adapter)]
    taken = conflicts(adapters, names, spec)
    unread = {name: found for name, found in read.items() if isinstance(found, Verdict)} | dict(taken)
    served = [adapter for adapter in adapters if adapter.name not in taken]
    files = {adapter.name: files_of(adapter, d) for adapter in served}
    situations = _situations(served, files, d)
    outcomes = tuple(
        _untaken(m, unread[name], now, keep=False) if name in unread else _outcome(m, situations[name], now)
        for m in in_order(observed.adapters)
        for name in (m["metadata"]["name"],)
    )
    return _plan(d, seats, situations, files, outcomes)


def _plan(
    d: Deployment,
    seats: list[Manifest],
    situations: Mapping[str, Situation],
    files: Mapping[str, Files],
    outcomes: tuple[AdapterOutcome, ...],
) -> AdapterPlan:
    adapters = [s.adapter for s in situations.values()]
    jobs = [known.job for known in files.values() if known.job is not None]
    services = [
        adapter_service(d.names, s.adapter.manifest)
        for s in situations.values()
        if s.adapter.spec.endpoint.service and (s.no_service is None or s.no_service.reason == Reason.CHILD_REFUSED)
    ]
    entries = {name: tuple(s.step.entries(s.adapter.served_name)) for name, s in situations.items()}
    starting = starting_table(
        (*line, None if s.adapter.replicas is None else [seat.name for seat in s.seats])
        for name, s in situations.items()
        for line in entries[name]
    )
    waits = [known.requeue_after for known in files.values()] + [s.step.requeue_after for s in situations.values()]
    selected = endpoints(d.observed.pods, situations, d.now)
    waits += [selected.requeue_after, *(LOOK_SECONDS for s in situations.values() if s.no_service is not None)]
    again = {known.delete for known in files.values() if known.delete is not None}
    missing = [job for job in jobs if Ref.of(job) not in d.observed.children]
    plan = Plan(
        apply=(*services, *missing),
        delete=(*obsolete(d.observed, adapters, {Ref.of(each) for each in (*services, *jobs)}), *sorted(again)),
        patches=selected.patches,
        inquiries=_inquiries(files.values()),
        inspections=tuple(known.inspection for known in files.values() if known.inspection is not None),
        tables=_orders(d, seats, situations, entries, selected.leaving),
        outcomes=outcomes,
        requeue_after=min((seconds for seconds in waits if seconds is not None), default=None),
    )
    file = table_config_map(d.names, starting) if d.observed.adapters else None
    return AdapterPlan(plan, file, _ready(outcomes), tuple(_spreads(situations.values())))


def _spreads(situations: Iterable[Situation]) -> Iterator[Spread]:
    """What goes with a pod, where an adapter is not on all of them."""
    for s in situations:
        if s.adapter.replicas is not None:
            answering = frozenset(seat.name for seat in s.seats if s.serving(seat) is not None)
            yield Spread(s.adapter.replicas, answering, frozenset(seat.name for seat in s.staying))


def _inquiries(files: Iterable[Files]) -> tuple[Inquiry, ...]:
    """Every last word, and how far some fetches are: the oldest adapters' that are under way."""
    asked = [known.inquiry for known in files if known.inquiry is not None]
    running = [inquiry for inquiry in asked if isinstance(inquiry, JobProgress)]
    return (*(inquiry for inquiry in asked if not isinstance(inquiry, JobProgress)), *running[:FETCHES_ASKED])


def _situations(
    adapters: Iterable[Adapter],
    files: Mapping[str, Files],
    d: Deployment,
) -> dict[str, Situation]:
    """Where each adapter is to be, and in which versions."""
    objections = {
        a.name: files[a.name].refused or (facts and objection(facts, a, d))
        for a in adapters
        for facts in (files[a.name].facts,)
    }
    # An adapter that has nothing to load keeps nobody from a slot.
    loadable = [a for a in adapters if a.track.active or (files[a.name].facts and objections[a.name] is None)]
    demand = _demand(d.seats)
    wishes = [_wish(a, d.seats, demand[a.served_name]) for a in loadable]
    capacity = d.room.slots
    crowded = refused(wishes, capacity)
    pods = [Pod(seat.name, seat.ready and seat.report is not None, seat.leaving) for seat in d.seats]
    chosen = place(wishes, pods, capacity)
    used = {seat.name: sum(seat.name in places for places in chosen.values()) for seat in d.seats}
    leaving = sum(seat.leaving for seat in d.seats)
    staying = len(d.seats) - leaving
    fleet = max(staying, d.replicas - leaving)  # a rollout may have more for a while
    found = {}
    # Who has a second version loaded already comes first, so that nobody takes the slot that it is in.
    for a in sorted(adapters, key=lambda a: a.track.previous is None):
        its = tuple(
            replace(seat, before=a.pods.get(seat.name)) if seat.unheard else seat
            for seat in d.seats
            if seat.name in chosen.get(a.name, frozenset())
        )
        verdict = objections[a.name] or (_crowded(d) if a.name in crowded else None)
        target = files[a.name].version if verdict is None else None
        spare = all(used[seat.name] < capacity for seat in its)
        step = _step(a, target, its, spare=spare, now=d.now) if a.name not in crowded else Step(Track())
        second = max(len(step.versions) - 1, 0)
        for seat in its:
            used[seat.name] += second
        wanted, room = (each if a.replicas is None else min(a.replicas, each) for each in (fleet, staying))
        known_of, service = files[a.name], _no_service(a, d)
        found[a.name] = Situation(
            a, d.spec, verdict, known_of.fetched, known_of.facts, target, step, its, wanted, room, service
        )
    return {a.name: found[a.name] for a in adapters}


def _demand(seats: Iterable[Seat]) -> Counter[str]:
    """By served name: the requests that run, as far as guards are heard."""
    found: Counter[str] = Counter()
    for seat in seats:
        found.update({} if seat.report is None else seat.report.running())
    return found


def _wish(a: Adapter, seats: Iterable[Seat], demand: int) -> Wish:
    if a.replicas is None:
        return Wish(a.name, None)
    answering = frozenset(seat.name for seat in seats if seat.name in a.pods and _answers(a, seat))
    return Wish(a.name, a.replicas, frozenset(a.pods), answering, demand)


def _answers(a: Adapter, seat: Seat) -> bool:
    if not seat.ready:
        return False
    if seat.unheard:
        return bool(a.pods[seat.name].get("serving"))
    return seat.report is not None and seat.report.answering(a.served_name) is not None


def _step(a: Adapter, target: Any, seats: Iterable[Seat], *, spare: bool, now: datetime) -> Step:  # noqa: ANN401
    places = [Place(seat.ready, seat.report) for seat in seats]
    soak = float(seconds(a.spec.rollout.soak))
    return advance(a.track, target, places, served=a.served_name, soak=soak, spare=spare, now=now)


def _orders(
    d: Deployment,
    pods: Iterable[Manifest],
    situations: Mapping[str, Situation],
    entries: Mapping[str, tuple[Entry, ...]],
    leaving: Mapping[str, Sequence[str]],
) -> tuple[TableOrder, ...]:
    here: dict[str, list[Entry]] = defaultdict(list)
    for name, situation in situations.items():
        for seat in situation.seats:
            here[seat.name] += entries[name]
    for seat in d.seats:
        going = (line for name in leaving.get(seat.name, ()) for line in entries[name])
        if stays := [(name, {**entry, "leaving": True}) for name, entry in going]:
            # What goes keeps its slot until it is gone: what the engine does not have yet waits.
            has = {} if seat.report is None else seat.report.adapters
            loaded_first = sorted(here[seat.name], key=lambda line: line[0] not in has)
            here[seat.name] = [*stays, *loaded_first[: max(d.room.slots - len(stays), 0)]]
    return tuple(
        TableOrder(
            pod["metadata"]["uid"],
            pod["status"]["podIP"],
            incarnation(pod),
            table(here[pod["metadata"]["name"]]),
            is_ready(pod),
        )
        for pod in pods
    )


def _no_service(adapter: Adapter, d: Deployment) -> Verdict | None:
    """Why an adapter does not have the Service that it wants."""
    if not adapter.spec.endpoint.service:
        return None
    wanted = adapter_service(d.names, adapter.manifest)
    ref, existing = Ref.of(wanted), d.observed.children.get(Ref.of(wanted))
    if existing is not None and controller(existing) != controller(wanted):
        text = f'a Service named "{ref.name}" exists and is not ours; it is left as it is: delete or rename it'
        return Verdict(Reason.NAME_CONFLICT, text)
    return next((refusal(failure) for failure in d.observed.failures if failure.ref == ref), None)


def _outdated(names: Names, revision: Revision) -> Verdict | None:
    if loads_adapters(revision.template):
        return None
    text = (
        f"the pods of {names.name} keep the template that slmfleet {revision.renderer} rendered, which is not made for "
        "adapters: change its spec, or set its spec.rollout.onOperatorUpgrade: Roll"
    )
    return Verdict(Reason.TEMPLATE_OUTDATED, text)


def _crowded(d: Deployment) -> Verdict:
    return no_slot(f"the {d.room.slots} slots of {d.names.name} are taken by older adapters", d.spec)


def _untaken(manifest: Manifest, verdict: Verdict, now: datetime, *, keep: bool) -> AdapterOutcome:
    status = untaken(manifest, verdict, now, keep=keep)
    return AdapterOutcome(manifest, status, transitions(manifest, status))


def _outcome(manifest: Manifest, situation: Situation, now: datetime) -> AdapterOutcome:
    status = status_of(situation, now)
    return AdapterOutcome(manifest, status, transitions(manifest, status))


def _ready(outcomes: Iterable[AdapterOutcome]) -> Statement | None:
    return adapters_ready((each.manifest["metadata"]["name"], each.status) for each in outcomes)
