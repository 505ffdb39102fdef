"""New versions stand beside the old ones, and nobody is ever answered by other weights."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from slmfleet.core.adapters.adapter import Track, Version
from slmfleet.core.adapters.reports import Held, Report
from slmfleet.core.adapters.versions import Place, Step, advance
from tests.core.make import NOW

A, B, C = (Version(f"sha256:{letter * 64}", f"/adapters/{letter * 64}") for letter in "abc")
NA, NB = A.named("legal"), B.named("legal")


def seat(*loaded: Version, alias: Version | None = None, ready: bool = True) -> Place:
    adapters = {version.named("legal"): Held("Loaded") for version in loaded}
    return Place(ready, Report(adapters, {"legal": alias.named("legal")} if alias else {}))


def step(track: Track, target: Version | None, *places: Place, spare: bool = True, later: float = 0.0) -> Step:
    now = NOW + timedelta(seconds=later)
    return advance(track, target, places, served="legal", soak=60, spare=spare, now=now)


def aliases(found: Step) -> dict[str, str | None]:
    return {name: entry["alias"] for name, entry in found.entries("legal")}


def test_the_first_version_has_the_name_at_once() -> None:
    assert aliases(step(Track(), A, seat())) == {NA: "legal"}


def test_nothing_is_loaded_while_nothing_is_known() -> None:
    assert aliases(step(Track(), None, seat())) == {}


def test_a_version_that_may_not_be_loaded_leaves_the_active_one() -> None:
    assert aliases(step(Track(A), None, seat(A, alias=A))) == {NA: "legal"}


def test_a_new_version_is_loaded_beside_the_old_one() -> None:
    assert aliases(step(Track(A), B, seat(A, B, alias=A), seat(A, alias=A))) == {NA: "legal", NB: None}


def test_the_name_moves_when_all_ready_pods_have_it() -> None:
    found = step(Track(A), B, seat(A, B, alias=A), seat(A, B, alias=A), seat(ready=False))
    assert (aliases(found), found.moved, found.requeue_after) == ({NB: "legal", NA: None}, True, 60)
    assert found.track == Track(B, A, NOW)


def test_a_pod_that_was_not_heard_holds_the_name() -> None:
    assert step(Track(A), B, seat(A, B, alias=A), Place(True, None)).track.active == A
    assert step(Track(A), B, seat(A, B, ready=False)).track.active == A


def test_the_old_version_soaks_and_goes() -> None:
    moved = Track(B, A, NOW)
    assert step(moved, B, seat(A, B, alias=B), later=20).requeue_after == 40
    assert aliases(step(moved, B, seat(A, B, alias=B), later=59)) == {NB: "legal", NA: None}
    assert aliases(step(moved, B, seat(A, B, alias=B), later=60)) == {NB: "legal"}


def test_a_return_while_it_soaks_needs_no_load() -> None:
    found = step(Track(B, A, NOW), A, seat(A, B, alias=B))
    assert (found.track, aliases(found)) == (Track(A, B, NOW), {NA: "legal", NB: None})


def test_a_third_version_takes_the_place_of_the_one_that_soaks() -> None:
    assert step(Track(B, A, NOW), C, seat(A, B, alias=B), spare=False).versions == (B, C)


def test_without_a_free_slot_the_new_version_waits() -> None:
    found = step(Track(A), B, seat(A, alias=A), spare=False)
    assert (aliases(found), found.waits_for_slot) == ({NA: "legal"}, True)


def test_without_pods_the_name_just_moves() -> None:
    assert step(Track(A), B).track == Track(B)


def test_the_same_files_elsewhere_are_no_new_version() -> None:
    assert aliases(step(Track(A), Version(A.digest, "/pvc/legal"), seat(A, alias=A))) == {NA: "legal"}


@dataclass
class Pod:
    """A guard that works towards its table: load, move the alias once its target is loaded, drain, unload."""

    ready: bool = True
    heard: bool = True
    busy: bool = False
    """Requests run for all that is loaded: what the table no longer has drains, and is not unloaded."""
    loaded: set[str] = field(default_factory=set)
    alias: str | None = None
    table: dict[str, str | None] = field(default_factory=dict)

    def put(self, table: dict[str, str | None]) -> None:
        self.table = table
        self.alias = self.alias if self.alias in table else None
        self.settle()

    def settle(self) -> None:
        wanted = next((name for name, alias in self.table.items() if alias), None)
        if wanted in self.loaded:
            self.alias = wanted
        if not self.busy:
            self.loaded &= self.table.keys() | {self.alias}

    def load(self) -> None:
        missing = sorted(self.table.keys() - self.loaded)
        self.loaded |= set(missing[:1])
        self.settle()

    def restart(self) -> None:
        self.loaded, self.alias = set(), None
        self.settle()

    def place(self) -> Place:
        held = {name: Held("Loaded" if name in self.table else "Draining") for name in self.loaded}
        report = Report(held, {"legal": self.alias} if self.alias else {})
        return Place(self.ready, report if self.heard else None)


MOVES: dict[str, Callable[[Pod], None]] = {
    "load": Pod.load,
    "restart": Pod.restart,
    "flap": lambda pod: setattr(pod, "ready", not pod.ready),
    "silence": lambda pod: setattr(pod, "heard", not pod.heard),
    "busy": lambda pod: setattr(pod, "busy", not pod.busy),
}
EVENTS = st.lists(
    st.tuples(st.sampled_from([*MOVES, "want", "plan"]), st.integers(0, 2), st.sampled_from([A, B, C]), st.booleans()),
    min_size=5,
    max_size=60,
)


def happens(pods: list[Pod], wanted: Version, what: str, which: int, version: Version) -> Version:
    """One of the events; the version that is wanted from then on."""
    if what in MOVES:
        MOVES[what](pods[which])
    return version if what == "want" else wanted


@given(EVENTS)
def test_a_name_is_only_ever_answered_by_its_active_version_or_the_one_before(
    events: list[tuple[str, int, Version, bool]],
) -> None:
    pods, track, wanted, at = [Pod() for _ in range(3)], Track(), A, 0.0
    for what, which, version, pushed in events:
        at += 7
        wanted = happens(pods, wanted, what, which, version)
        before = track
        found = step(track, wanted, *(pod.place() for pod in pods), later=at)
        track = found.track
        for pod in pods:
            if pushed and pod.heard:
                pod.put(aliases(found))
        allowed = {v.named("legal") for v in (*found.versions, before.active, before.previous) if v}
        assert len(found.versions) <= 2
        assert [alias for alias in aliases(found).values() if alias] == ["legal"]
        if found.moved and track.active is not None:
            name = track.active.named("legal")
            assert all(name in pod.loaded for pod in pods if pod.ready)
        for pod in pods:
            if pod.table == aliases(found):
                assert pod.alias is None or pod.alias in allowed


@given(EVENTS)
def test_whatever_happened_the_wanted_version_is_reached(events: list[tuple[str, int, Version, bool]]) -> None:
    pods, track, wanted, at = [Pod() for _ in range(3)], Track(), A, 0.0
    for what, which, version, _ in events:
        wanted = happens(pods, wanted, what, which, version)
        track = step(track, wanted, *(pod.place() for pod in pods), later=at).track
    for _ in range(8):
        at += 61
        found = step(track, wanted, *(pod.place() for pod in pods), later=at)
        track = found.track
        for pod in pods:
            pod.ready = pod.heard = True
            pod.busy = False
            pod.put(aliases(found))
            pod.load()
    assert track == Track(wanted)
    assert all(pod.alias == wanted.named("legal") and pod.loaded == {pod.alias} for pod in pods)


@given(EVENTS)
def test_a_version_that_drains_or_soaks_is_returned_to_without_a_load(
    events: list[tuple[str, int, Version, bool]],
) -> None:
    pods, track, wanted, at = [Pod() for _ in range(3)], Track(), A, 0.0
    for what, which, version, pushed in events:
        at += 7
        wanted = happens(pods, wanted, what, which, version)
        found = step(track, wanted, *(pod.place() for pod in pods), later=at)
        track = found.track
        for pod in pods:
            if pushed and pod.heard:
                pod.put(aliases(found))
    for pod in pods:
        pod.ready = pod.heard = True
    for back in (A, B, C):
        if track.active is None or not all(back.named("legal") in pod.loaded for pod in pods):
            continue
        returned = track
        for _ in range(2):  # one that drains is listed as loaded once the table has it again
            found = step(returned, back, *(pod.place() for pod in pods), later=at)
            returned = found.track
            for pod in pods:
                pod.put(aliases(found))
        assert returned.active == back
        assert all(pod.alias == back.named("legal") for pod in pods)
        return
