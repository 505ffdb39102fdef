from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmfleet.core.autoscale.decision import Bound, Decision
from slmfleet.core.autoscale.scaler import HOLD, Scaler
from slmfleet.core.autoscale.settings import Learned, Settings
from slmfleet.core.autoscale.signals import Signals
from tests.core.autoscale.make import CEILING, FLOOR, SETTINGS, look, situation

BUSY: dict[str, Any] = {
    "first_tokens": 12.0,
    "prompt_tokens": 12_000.0,
    "waiting": 6.0,
}  # 0.5 s: neither saturated nor idle
QUIET: dict[str, Any] = {
    "first_tokens": 1.0,
    "prompt_tokens": 1_000.0,
    "kv_tokens": 200.0,
    "running": 0.2,
    "finished": 1.0,
    "finished_generated_tokens": 200.0,
    "generated_tokens": 200.0,
}
NOTHING: dict[str, Any] = dict.fromkeys([*QUIET, "token_gaps"], 0.0)


LEARNED = Learned(output_tokens=200, prompt_tokens=1000, context_tokens=1000, kv_capacity=30_000)


class Fleet:
    """A scaler whose decisions are carried out at once."""

    def __init__(
        self, given: Settings = SETTINGS, current: int = 4, learned: Learned | None = None, start: float = 0.0
    ) -> None:
        self.scaler = Scaler(given, learned or LEARNED)
        self.current = current
        self.at = start
        self.first = True

    def run(self, seconds: int, around: dict[str, Any] | None = None, **fields: Any) -> Decision:
        for _ in range(seconds):
            self.at += 1
            pods = {"ready": self.current, "reporting": self.current, "kv_capacity": 30_000.0 * self.current}
            signals = look(self.at, **(pods | fields))
            self.scaler.look(replace(signals, seconds=0.0) if self.first else signals)
            self.first = False
            decision = self.decide(**around or {})
        return decision

    def decide(self, **around: Any) -> Decision:
        decision = self.scaler.decide(situation(self.at, self.current, **around))
        self.current = decision.desired
        return decision


def test_up_at_once_without_a_step_limit() -> None:
    fleet = Fleet(current=2)
    decision = fleet.run(12, first_tokens=40.0, prompt_tokens=40_000.0)
    assert decision.desired == 37  # 40 x 0.881 s of work each second + 0.3 x sqrt of it
    assert decision.reason == "work"


def test_a_message_answers_why_this_many() -> None:
    decision = Fleet(current=2).run(12, **BUSY)
    assert decision.message == (
        "12: (work of 10.6 replicas at the peak of the last minutes + 1.0 for chance) / capacity 1.00"
    )
    assert decision.bound is None


def test_down_by_several_once_the_peak_is_forgotten() -> None:
    fleet = Fleet(current=12)
    fleet.run(300, **BUSY)
    assert fleet.current == 12
    fleet.run(300 + 25, **QUIET)
    assert fleet.current == 12
    fleet.run(round(HOLD) + 10, **QUIET)
    assert fleet.current == 1


def test_nothing_goes_after_a_start() -> None:
    fleet = Fleet(current=9)
    assert fleet.run(round(Settings().settle) - 1, **QUIET).reason == "settling"
    assert fleet.current == 9
    fleet.run(60, **QUIET)
    assert fleet.current < 9


@pytest.mark.parametrize(
    ("around", "desired", "reason", "bound"),
    [
        ({"ceiling": Bound(5, "spec.scaling.maxReplicas")}, 5, "ceiling", "spec.scaling.maxReplicas"),
        ({"floor": Bound(20, "schedule office")}, 20, "floor", "schedule office"),
        # a quota below the floor: what cannot be had is not asked for
        ({"floor": Bound(8, "schedule office"), "ceiling": Bound(6, "quota gpu")}, 6, "ceiling", "quota gpu"),
    ],
)
def test_bounds_are_kept_and_named(around: dict[str, Bound], desired: int, reason: str, bound: str) -> None:
    decision = Fleet(current=4).run(20, around, **BUSY)
    assert (decision.desired, decision.reason) == (desired, reason)
    assert decision.bound is not None
    assert decision.bound.why == bound
    assert f"{bound} keeps it at {desired}" in decision.message


def test_no_pod_can_be_read() -> None:
    fleet = Fleet(current=4)
    fleet.run(200)
    decision = fleet.run(600, reporting=0, **NOTHING)
    assert (decision.desired, decision.reason) == (4, "noData")
    assert decision.message == "4: none of 4 ready pods can be read: what they do is not known"


def test_an_outage_is_not_an_idle_time() -> None:
    fleet = Fleet(current=12)
    fleet.run(400, **BUSY)
    fleet.run(900, reporting=0, **NOTHING)
    fleet.run(200, **BUSY)
    assert fleet.current == 12


def test_half_of_the_pods_stand_for_all_but_nothing_goes() -> None:
    fleet = Fleet(current=12)
    fleet.run(400, **BUSY)
    half: dict[str, Any] = {"first_tokens": 6.0, "prompt_tokens": 6_000.0}
    decision = fleet.run(600, reporting=6, kv_capacity=180_000.0, **half)
    assert decision.desired == 12
    decision = fleet.run(600, reporting=6, kv_capacity=180_000.0, **QUIET)
    assert (decision.desired, decision.reason) == (12, "noData")
    assert fleet.current == 12
    fleet.at += 1
    for _ in range(30):
        fleet.at += 1
        fleet.scaler.look(look(fleet.at, ready=12, reporting=6, kv_capacity=180_000.0, **BUSY))
    assert (
        fleet.decide().desired == 22
    )  # 24 x 0.881 s of work each second, + 0.3 x sqrt of it; a quarter of a replica may be missing


def test_old_looks_say_nothing() -> None:
    fleet = Fleet(current=4)
    fleet.run(400, **QUIET)
    fleet.current = 9
    fleet.at += 61
    assert fleet.decide().reason == "noData"
    assert fleet.current == 9


def test_nothing_goes_in_a_rollout() -> None:
    fleet = Fleet(current=9)
    decision = fleet.run(600, {"rolling_out": True}, **QUIET)
    assert (decision.desired, decision.reason) == (9, "rollingOut")


def test_pods_on_their_way_count() -> None:
    fleet = Fleet(current=12)
    fleet.run(300, ready=4, reporting=4, pending=8, kv_capacity=120_000.0, **BUSY)
    assert fleet.current == 12


def test_a_broken_pod_is_made_up_for() -> None:
    fleet = Fleet(current=12)
    fleet.run(300, **BUSY)
    for _ in range(120):
        fleet.at += 1
        pods = {"ready": 11, "reporting": 11, "kv_capacity": 330_000.0, "pending": fleet.current - 12}
        fleet.scaler.look(look(fleet.at, **(pods | BUSY)))
        fleet.decide()
    assert fleet.current == 13


@pytest.mark.parametrize(("ready", "current"), [(0, 12), (2, 15)])
def test_where_most_pods_are_broken_more_do_not_help(ready: int, current: int) -> None:
    fleet = Fleet(current=12)
    fleet.run(300, **BUSY)
    for _ in range(300):
        fleet.at += 1
        fleet.scaler.look(look(fleet.at, ready=ready, reporting=ready, kv_capacity=30_000.0 * ready, **BUSY))
        fleet.scaler.decide(situation(fleet.at, 12))
    decision = fleet.scaler.decide(situation(fleet.at, 12))
    assert decision.desired == current


ZERO: dict[str, Any] = {"floor": Bound(0, "spec.scaling.minReplicas")}


def test_to_zero_after_an_idle_time() -> None:
    fleet = Fleet(replace(SETTINGS, idle_after=600.0), current=2)
    fleet.run(100, ZERO, **QUIET)
    fleet.run(598, ZERO, **NOTHING)
    assert fleet.current == 1
    decision = fleet.run(2, ZERO, **NOTHING)
    assert (decision.desired, decision.reason, decision.message) == (0, "idle", "1 -> 0: no request for 600 s")


@pytest.mark.parametrize(("given", "around"), [(SETTINGS, ZERO), (replace(SETTINGS, idle_after=600.0), {})])
def test_not_to_zero_unless_both_floor_and_idle_time_say_so(given: Settings, around: dict[str, Any]) -> None:
    fleet = Fleet(given, current=2)
    fleet.run(2000, around, **NOTHING)
    assert fleet.current == 1


def test_from_zero_straight_to_what_waits() -> None:
    learned = Learned(output_tokens=200, prompt_tokens=1000, context_tokens=1000, kv_capacity=30_000)
    fleet = Fleet(replace(SETTINGS, idle_after=600.0), current=0, learned=learned)
    assert fleet.decide(**ZERO).desired == 0
    decision = fleet.decide(**ZERO, wake=1)
    assert (decision.desired, decision.reason) == (1, "wake")
    fleet.current = 0
    # 100 x 1,000 x 2 tokens / (0.95 x 30,000) = 7.02
    decision = fleet.decide(**ZERO, wake=100)
    assert decision.desired == 7
    assert decision.message == "0 -> 7: 100 requests wait for a fleet without replicas"


def test_a_woken_fleet_stays_while_it_starts() -> None:
    fleet = Fleet(replace(SETTINGS, idle_after=60.0), current=0)
    for _ in range(50):
        fleet.at += 1
        fleet.scaler.look(look(fleet.at, ready=0, reporting=0, pending=fleet.current, kv_capacity=0.0, **NOTHING))
        fleet.decide(**ZERO, wake=int(fleet.at == 1))
    assert fleet.current == 1


def numbers(signals: list[tuple[int, int]], start: float, learned: Learned | None = None) -> list[int]:
    """What is decided for so many requests, for ten seconds each."""
    fleet = Fleet(current=3, start=start, learned=learned)
    decided = []
    for requests, waiting in signals:
        fleet.run(10, first_tokens=float(requests), prompt_tokens=1000.0 * requests, waiting=float(waiting))
        decided.append(fleet.current)
    return decided


loads = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 60)), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None)
@given(loads, st.integers(0, 10**7))
def test_it_matters_not_when_it_happens(load: list[tuple[int, int]], start: int) -> None:
    assert numbers(load, 0.0) == numbers(load, float(start))


@settings(max_examples=25, deadline=None)
@given(loads, st.integers(1, 3), st.integers(3, 12), st.data())
def test_never_outside_the_bounds_and_never_down_without_data(
    load: list[tuple[int, int]], low: int, high: int, data: st.DataObject
) -> None:
    fleet = Fleet(current=3)
    around = {"floor": replace(FLOOR, replicas=low), "ceiling": replace(CEILING, replicas=high)}
    for requests, waiting in load:
        before = fleet.current
        missing = data.draw(st.integers(0, before))
        decision = fleet.run(
            10, around, reporting=before - missing, ready=before, first_tokens=float(requests), waiting=float(waiting)
        )
        assert low <= decision.desired <= high
        if missing:
            assert decision.desired >= min(before, high)


@pytest.mark.parametrize(("requests", "waiting"), [(1, 0), (5, 3), (30, 20)])
def test_a_restart_decides_the_same(requests: int, waiting: int) -> None:
    fields: dict[str, Any] = {
        "first_tokens": float(requests),
        "prompt_tokens": 1000.0 * requests,
        "waiting": float(waiting),
    }
    before = Fleet(current=3)
    before.run(400, **fields)
    after = Fleet(current=before.current, learned=before.scaler.learned(), start=before.at)
    after.run(400, **fields)
    before.run(400, **fields)
    assert abs(after.current - before.current) <= 1


def test_what_is_learned_is_small_and_rounded() -> None:
    fleet = Fleet()
    fleet.run(200)
    assert fleet.scaler.learned() == Learned(
        capacity=1.0,
        output_tokens=200,
        prompt_tokens=1000,
        context_tokens=1000,
        kv_capacity=30_000,
    )


def test_a_fresh_scaler_with_one_look_holds() -> None:
    scaler = Scaler(Settings())
    scaler.look(look(0, seconds=0.0))
    assert scaler.decide(situation(0)).desired == 4
    assert isinstance(look(0), Signals)
