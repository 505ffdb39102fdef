"""Pages of a fleet's pods to Signals: what every trouble means."""

from dataclasses import replace
from math import e, inf

import pytest

from slmfleet.core.autoscale.advice import PodLoad
from slmfleet.core.autoscale.fleet import FORGET_SECONDS, FleetLooks, Reading
from slmfleet.engine.histogram import Histogram
from slmfleet.engine.page import EngineState

from .fleets import AMOUNTS, OBJECTIVES, Fleet, amounts, page

NOTHING = dict.fromkeys(AMOUNTS, 0.0)


def test_the_first_look_tells_gauges_and_no_amounts() -> None:
    signals = Fleet().look(a=page(3, 2, generated_tokens=1e9), b=page(1, 4), pending=2)
    assert (signals.seconds, signals.ready, signals.reporting, signals.measured, signals.pending) == (0, 2, 2, 0, 2)
    assert (signals.running, signals.waiting, signals.max_waiting) == (4, 6, 4)
    assert amounts(signals) == NOTHING


def test_amounts_are_what_all_pods_added_between_two_looks() -> None:
    fleet = Fleet()
    fleet.look(a=page(prompt_tokens=100.0, generated_tokens=10.0), b=page(prompt_tokens=50.0))
    signals = fleet.look(a=page(prompt_tokens=180.0, generated_tokens=30.0), b=page(prompt_tokens=60.0, finished=2.0))
    assert (signals.seconds, signals.measured) == (2.0, 2)
    assert amounts(signals) == NOTHING | {"prompt_tokens": 90, "generated_tokens": 20, "finished": 2}


def test_late_ones_are_those_above_the_objective() -> None:
    fleet = Fleet()
    fleet.look(a=page(first_token=Histogram((0.1, 1.0, inf), (1.0, 2.0, 3.0))))
    later = page(
        first_token=Histogram((0.1, 1.0, inf), (1.0, 4.0, 10.0)),
        token_gap=Histogram((0.1, 1.0, inf), (20.0, 25.0, 25.0)),
    )
    signals = fleet.look(a=later)
    assert (signals.first_tokens, signals.late_first_tokens) == (7, 5)
    assert (signals.token_gaps, signals.late_tokens) == (25, 5)


def test_kv_tokens_are_summed_over_the_caches_that_are_known_and_the_fullest_is_told() -> None:
    signals = Fleet().look(
        a=page(kv_usage=0.2),
        b=page(kv_usage=0.6, kv_capacity=3000.0),
        c=page(kv_usage=0.9, kv_capacity=None),
        d=page(kv_usage=None),
    )
    assert (signals.kv_tokens, signals.kv_capacity, signals.max_kv_usage) == (2000, 4000, 0.9)


def test_a_pod_that_cannot_be_read_is_missing_and_not_zero() -> None:
    fleet = Fleet()
    fleet.look(a=page(5), b=page(7))
    signals = fleet.look(a=page(5, generated_tokens=10.0), b=None)
    assert (signals.ready, signals.reporting, signals.measured, signals.running) == (2, 1, 1, 5)


def test_a_pod_that_is_read_again_adds_its_share_for_one_look() -> None:
    fleet = Fleet()
    fleet.look(a=page())
    fleet.look(a=None)
    fleet.look(a=None)
    signals = fleet.look(a=page(generated_tokens=60.0))
    assert (signals.seconds, signals.measured, signals.generated_tokens) == (2.0, 1, 20.0)
    assert fleet.look(a=page(generated_tokens=90.0)).generated_tokens == 30.0


def test_a_page_that_came_late_within_its_look_adds_all_of_it() -> None:
    looks: FleetLooks[str] = FleetLooks()
    looks.look(10.0, {"a": Reading(9.1, page())}, 0, OBJECTIVES)
    signals = looks.look(12.0, {"a": Reading(12.0, page(generated_tokens=29.0))}, 0, OBJECTIVES)
    assert signals.generated_tokens == 29.0


def test_a_pod_that_was_away_for_long_is_seen_for_the_first_time() -> None:
    fleet = Fleet()
    fleet.look(a=page(), b=page())
    for _ in range(int(FORGET_SECONDS / 2) + 1):
        fleet.look(a=None, b=page())
    signals = fleet.look(a=page(generated_tokens=60.0), b=page())
    assert (signals.reporting, signals.measured, signals.generated_tokens) == (2, 1, 0)


def test_pods_come_and_go_without_a_trace_in_the_amounts() -> None:
    fleet = Fleet()
    fleet.look(a=page(generated_tokens=1e6))
    fleet.look(b=page(generated_tokens=1e6))
    signals = fleet.look(a=page(generated_tokens=1e6), b=page(generated_tokens=1e6 + 5), c=page(generated_tokens=1e6))
    assert (signals.reporting, signals.measured, signals.generated_tokens) == (3, 2, 5)


def test_a_restarted_engine_added_what_its_counters_show_even_where_one_has_caught_up() -> None:
    fleet = Fleet()
    fleet.look(a=page(prompt_tokens=1000.0, generated_tokens=1000.0, finished=1.0, preemptions=1.0))
    signals = fleet.look(a=page(prompt_tokens=40.0, generated_tokens=20.0, finished=2.0, preemptions=1.0))
    assert amounts(signals) == NOTHING | {
        "prompt_tokens": 40,
        "generated_tokens": 20,
        "finished": 2,
        "preemptions": 1,
    }


def test_a_restart_is_seen_by_its_histograms_too() -> None:
    fleet = Fleet()
    fleet.look(a=page(first_token=Histogram((0.1, 1.0, inf), (5.0, 5.0, 5.0))))
    signals = fleet.look(a=page(first_token=Histogram((0.1, 1.0, inf), (0.0, 0.0, 6.0))))
    assert (signals.first_tokens, signals.late_first_tokens) == (6, 6)


def test_more_than_an_engine_can_do_is_not_believed() -> None:
    fleet = Fleet()
    fleet.look(a=page(generated_tokens=1e9))
    assert fleet.look(a=page(generated_tokens=5.0)).generated_tokens == 5
    signals = fleet.look(a=page(generated_tokens=1e9))
    assert (signals.measured, signals.generated_tokens) == (0, 0)
    assert fleet.look(a=page(generated_tokens=1e9 + 7)).generated_tokens == 7


def test_other_engines_behind_the_same_pod_are_seen_for_the_first_time() -> None:
    fleet = Fleet()
    fleet.look(a=page(engines=2, generated_tokens=1000.0))
    signals = fleet.look(a=page(engines=1, generated_tokens=600.0))
    assert (signals.measured, signals.generated_tokens) == (0, 0)


@pytest.mark.parametrize("seconds", [0.0, -5.0, FORGET_SECONDS + 1])
def test_a_clock_that_stands_or_jumps_makes_a_first_look(seconds: float) -> None:
    fleet = Fleet()
    fleet.look(a=page())
    signals = fleet.look(seconds, a=page(generated_tokens=50.0))
    assert (signals.seconds, signals.measured, signals.generated_tokens) == (0, 0, 0)
    assert fleet.look(a=page(generated_tokens=60.0)).generated_tokens == 10


def test_an_engine_that_runs_requests_and_does_not_move_is_hung_after_a_while() -> None:
    fleet = Fleet()
    fleet.look(a=page(3, steps=7.0), b=page(0, steps=7.0), c=page(3, steps=1.0))
    for n in range(14):
        signals = fleet.look(a=page(3, steps=7.0), b=page(0, steps=7.0), c=page(3, steps=2.0 + n))
        assert (signals.hung, fleet.looks.hung) == (0, ())
    signals = fleet.look(a=page(3, steps=7.0), b=page(0, steps=7.0), c=page(3, steps=99.0))
    assert (signals.hung, fleet.looks.hung, signals.reporting) == (1, ("a",), 3)
    signals = fleet.look(a=page(3, steps=8.0), b=page(0, steps=7.0), c=page(3, steps=100.0))
    assert (signals.hung, fleet.looks.hung) == (0, ())


def test_time_without_pages_is_not_time_stood_still() -> None:
    fleet = Fleet()
    fleet.look(a=page(3))
    for _ in range(14):
        fleet.look(a=None)
    assert fleet.look(a=page(3)).hung == 1  # seen the same 30 s apart: it did not move in between
    assert fleet.look(a=None).hung == 0


def test_one_hung_rank_is_seen_beside_one_that_works() -> None:
    fleet = Fleet()
    for n in range(17):
        both = page(engines=2, steps=float(n))
        engines = {"0": both.engines["0"], "1": EngineState(2.0, 0.0, 0.5, 7.0, 7.0)}
        signals = fleet.look(a=replace(both, engines=engines))
    assert signals.hung == 1


def test_a_pod_that_gets_no_traffic_is_read_for_its_load_alone() -> None:
    fleet = FleetLooks[str](hung_after=2.0)
    fleet.look(10.0, {"a": Reading(10.0, page(3))}, 0, OBJECTIVES, {"b": Reading(10.0, page(2, 1))})
    signals = fleet.look(
        12.0, {"a": Reading(12.0, page(4))}, 0, OBJECTIVES, {"b": Reading(12.0, page(2, 1)), "c": None}
    )
    assert (signals.ready, signals.reporting, signals.running, signals.hung) == (1, 1, 4, 0)
    assert fleet.loads == {"a": PodLoad(4, 0), "b": PodLoad(2, 1)}
    assert fleet.hung == ("b",)


def test_a_pod_that_is_emptied_and_put_back_keeps_its_counters() -> None:
    fleet = FleetLooks[str]()
    fleet.look(10.0, {"a": Reading(10.0, page())}, 0, OBJECTIVES)
    fleet.look(12.0, {}, 0, OBJECTIVES, {"a": Reading(12.0, page(generated_tokens=50.0))})
    assert fleet.look(14.0, {"a": Reading(14.0, page(generated_tokens=60.0))}, 0, OBJECTIVES).generated_tokens == 10


def test_what_the_prefix_cache_answered_long_ago_counts_less() -> None:
    fleet = Fleet()
    fleet.look(a=page())
    fleet.look(a=page(cached_prompt_tokens=1000.0))
    assert fleet.looks.loads["a"].cached_prompt_tokens == 1000
    for _ in range(150):
        fleet.look(a=page(cached_prompt_tokens=1000.0))
    assert fleet.looks.loads["a"].cached_prompt_tokens == pytest.approx(1000 / e)
