"""What is known of each adapter's files, and what has to be done to know more."""

import re
from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.adapter_facts import AdapterFacts
from slmfleet.api.conditions import Reason
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.build.fetch_job import fetch_job, wanted_digest
from slmfleet.core.conditions import Statement
from slmfleet.core.names import Names
from slmfleet.core.problems import Verdict, bounded, refusal
from slmfleet.core.times import seconds_since
from slmfleet.core.types import Config, Inspection, JobProgress, LastWords, Manifest, Observed, Ref

from .adapter import Adapter, Version
from .reports import FAILED
from .room import Room
from .seats import Seat
from .source import Source, checked, parse, read_facts, source_of

RETRY_SECONDS: Final = 600.0
"""After so long a fetch that failed is tried again: a Secret or a server may have changed, which nobody watches.
Likewise one whose files engines do not find: somebody removed them, or made the claim anew."""
LOOK_SECONDS: Final = 60.0
"""After so long what was refused is tried again, by a guard or the API server: nobody hears of it when it is put right.
"""
KEPT_FETCHES: Final = 3
"""So many Jobs of an adapter stay that nothing wants any more: a return to what they have fetched needs no other one.
As many as a CronJob keeps by default."""

PROGRESS_SECONDS: Final = 10
"""So often at most a status says how far a fetch is."""

_BYTES: Final = re.compile(r"(\d+) of (\d+) bytes")
"""How far a fetch is, as fetcher/report.py says it."""
_MIB: Final = 2**20


@dataclass(frozen=True)
class Files:
    """One adapter's files, as far as they are known."""

    fetched: Statement
    facts: AdapterFacts | None = None
    refused: Verdict | None = None
    """Why engines could never see them, whatever they are."""
    job: Manifest | None = None
    """The Job that is to exist."""
    delete: Ref | None = None
    """The Job that is to be made again."""
    inquiry: LastWords | JobProgress | None = None
    inspection: Inspection | None = None
    requeue_after: float | None = None

    @property
    def version(self) -> Version | None:
        """The version that they are."""
        return None if self.facts is None else Version(self.facts.digest, self.facts.path)


@dataclass(frozen=True)
class Deployment:
    """What an adapter depends on, besides itself."""

    observed: Observed
    names: Names
    spec: SLMDeploymentSpec
    accelerator: AcceleratorClassSpec
    replicas: int
    """How many pods it is to have."""
    room: Room
    """What each of them has for adapters."""
    config: Config
    reader: str | None
    """The address of an engine whose guard can look at files."""
    seats: tuple[Seat, ...]
    now: datetime


def files_of(adapter: Adapter, d: Deployment) -> Files:
    """The facts, or the next step towards them."""
    source = source_of(adapter, d.names, d.spec)
    if isinstance(source, Verdict):
        return Files(Statement("False", source.reason, source.message), refused=source)
    known = adapter.facts if adapter.facts is not None and adapter.facts.key == source.key else None
    return _fetched(adapter, source, known, d) if source.claim is not None else _in_place(adapter, source, known, d)


def obsolete(observed: Observed, adapters: Iterable[Adapter], wanted: Set[Ref]) -> list[Ref]:
    """Jobs and Services of adapters that they no longer want; those of deleted adapters go with them."""
    uids = {a["metadata"].get("uid") for a in observed.adapters}
    left = {
        ref: child
        for ref, child in observed.children.items()
        if ref not in wanted and ref.kind in ("Job", "Service") and controller(child) in uids
    }
    kept = _kept([child for ref, child in left.items() if ref.kind == "Job"], adapters)
    return [replace(ref, uid=child["metadata"]["uid"]) for ref, child in left.items() if ref not in kept]


def _kept(jobs: Iterable[Manifest], adapters: Iterable[Adapter]) -> set[Ref]:
    """Those that tell what is in the volume: of the versions that are loaded, and the last ones of each adapter.

    Only where a digest says which files they are: what else a source holds may have changed since.
    """
    loaded = {(a.uid, v.digest) for a in adapters for v in (a.track.active, a.track.previous) if v is not None}
    ends = ((job, _end(job) or {}) for job in jobs)
    done = [(job, end) for job, end in ends if end.get("type") == "Complete" and wanted_digest(job) is not None]
    kept, newer = set(), Counter[str | None]()
    for job, _ in sorted(done, key=lambda each: str(each[1].get("lastTransitionTime")), reverse=True):
        owner = controller(job)
        if newer[owner] < KEPT_FETCHES or (owner, wanted_digest(job)) in loaded:
            kept.add(Ref.of(job))
        newer[owner] += 1
    return kept


def controller(obj: Manifest) -> str | None:
    """The uid of the object that owns another one."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((owner.get("uid") for owner in owners if owner.get("controller")), None)


def _in_place(adapter: Adapter, source: Source, known: AdapterFacts | None, d: Deployment) -> Files:
    told = d.observed.inspected.get(source.key)
    inspection = None if d.reader is None else Inspection(source.key, d.reader, source.path)
    if known is None and told is None:
        text = (
            "a ready engine is to read the files where they are" if d.reader else "no engine is ready to read the files"
        )
        return Files(Statement("False", Reason.FETCHING, text), inspection=inspection)
    found = _known(adapter, known or read_facts(adapter, source, told), Reason.IN_PLACE, "read where they are")
    return found if found.facts is not None else replace(found, inspection=inspection, requeue_after=LOOK_SECONDS)


def _known(adapter: Adapter, found: AdapterFacts | Verdict, reason: Reason, how: str) -> Files:
    found = checked(adapter, found) if isinstance(found, AdapterFacts) else found
    if isinstance(found, Verdict):
        return Files(Statement("False", found.reason, found.message))
    return Files(Statement("True", reason, f"{found.digest}, {found.size} bytes, {how}"), found)


def _fetched(adapter: Adapter, source: Source, known: AdapterFacts | None, d: Deployment) -> Files:
    assert source.claim is not None
    job = fetch_job(
        d.names,
        d.spec,
        d.accelerator,
        adapter.manifest,
        adapter.spec.source,
        name=source.key,
        claim=source.claim,
        image=d.config.fetcher,
    )
    existing = d.observed.children.get(Ref.of(job))
    if existing is not None and controller(existing) != controller(job):
        text = f'a Job named "{source.key}" exists and is not ours; it is left as it is: delete it'
        return Files(Statement("False", Reason.NAME_CONFLICT, text))
    found = replace(_progress(adapter, source, existing, d), job=job)
    missed_by = _missed_by(adapter, known or found.facts, d)
    if known is not None and missed_by is None:
        # What was fetched stays where it is: the Job only matters where it is the first, or its predecessor is deleted.
        return replace(_known(adapter, known, Reason.FETCHED, "fetched"), job=job)
    if existing is None or found.facts is None or missed_by is None:
        return found
    left = _seconds_left(existing, d.now)
    if left > 0:
        return replace(found, requeue_after=left)
    text = f"pod {missed_by} does not find the files: they are fetched again"
    return Files(Statement("False", Reason.FETCHING, text), job=job, delete=_the_very(existing))


def _missed_by(adapter: Adapter, facts: AdapterFacts | None, d: Deployment) -> str | None:
    """A pod whose engine was to load these files, and did not find them."""
    if facts is None:
        return None
    name = Version(facts.digest, facts.path).named(adapter.served_name)
    reports = ((seat.name, seat.report.adapters.get(name)) for seat in d.seats if seat.report is not None)
    return next(
        (pod for pod, held in reports if held and (held.state, held.reason) == (FAILED, Reason.NOT_FOUND)), None
    )


def _end(job: Manifest | None) -> Manifest | None:
    """The condition that says how a Job has ended."""
    conditions = (job or {}).get("status", {}).get("conditions") or ()
    return next((dict(c) for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"), None)


def _seconds_left(job: Manifest, now: datetime) -> float:
    """Until a Job that has ended may be made again."""
    return RETRY_SECONDS - seconds_since((_end(job) or {}).get("lastTransitionTime"), now)


def _the_very(job: Manifest) -> Ref:
    return replace(Ref.of(job), uid=job["metadata"].get("uid", ""))


def _under_way(adapter: Adapter, source: Source, job: Manifest | None, d: Deployment) -> Files:
    """Its pod is asked how far it is, but not while it is as quick as it should be."""
    text = f"Job {source.key} fetches {adapter.spec.source.uri}"
    started = (job or {}).get("status", {}).get("startTime")
    if job is None or not started:
        return Files(Statement("False", Reason.FETCHING, text))
    age = int(seconds_since(started, d.now)) // PROGRESS_SECONDS
    inquiry = JobProgress(source.key, f"{job['metadata'].get('uid')}/progress/{age}") if age > 0 else None
    said = d.observed.answers.get(inquiry.key, "") if inquiry is not None else ""
    if match := _BYTES.fullmatch(said):
        done, total = (int(number) // _MIB for number in match.groups())
        said = f"fetched {done} of {total} MiB"
    statement = Statement("False", Reason.FETCHING, bounded(f"{text}: {said}" if said else text))
    return Files(statement, inquiry=inquiry, requeue_after=float(PROGRESS_SECONDS))


def _progress(adapter: Adapter, source: Source, job: Manifest | None, d: Deployment) -> Files:
    failure = next((f for f in d.observed.failures if f.ref == Ref("batch/v1", "Job", source.key)), None)
    if failure is not None:
        said = refusal(failure)
        return Files(Statement("False", said.reason, said.message), requeue_after=LOOK_SECONDS)
    over = _end(job)
    if job is None or over is None:
        return _under_way(adapter, source, job, d)
    inquiry = LastWords(source.key, f"{job['metadata'].get('uid')}/{over['type']}")
    words = d.observed.answers.get(inquiry.key)
    if words is None:
        return Files(Statement("False", Reason.FETCHING, f"Job {source.key} has ended"), inquiry=inquiry)
    left = _seconds_left(job, d.now)
    again = _the_very(job) if left <= 0 else None
    if again is not None and over["type"] == "Complete" and not words:
        text = f"what Job {source.key} told went with its pod: it fetches again"
        return Files(Statement("False", Reason.FETCHING, text), delete=again, inquiry=inquiry)
    told = parse(words)
    if over["type"] == "Failed" and not (isinstance(told, dict) and "error" in told):
        told = {"error": Reason.FETCH_FAILED.value, "message": over.get("message") or "the Job failed"}
    read = _known(adapter, read_facts(adapter, source, told), Reason.FETCHED, "fetched")
    if read.facts is not None:
        return replace(read, inquiry=inquiry)
    text = f"Job {source.key}: {read.fetched.message}"
    return Files(
        Statement("False", read.fetched.reason, text), delete=again, inquiry=inquiry, requeue_after=max(left, 1.0)
    )
