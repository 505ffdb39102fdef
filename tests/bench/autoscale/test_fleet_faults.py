"""What each fault does to a fleet, and how much of it a look shows."""

from typing import Any

import pytest

from bench.autoscale.fleet import CrashLoop, Fault, Fleet, Hang, Quota, ScrapeOutage, Settings, SlowStart

from .fleets import ENGINE, made


def faulty(*faults: Fault, **changes: Any) -> Fleet:
    fields = {"replicas": 2, "quota": 6, "start_p50": 10.0, "start_p90": 10.0} | changes
    return Fleet(made(2000, 3.0), ENGINE, Settings(faults=faults, **fields))


def test_pods_beyond_the_quota_wait_cost_nothing_and_start_when_it_ends() -> None:
    fleet = faulty(Quota(0.0, 50.0, 3))
    fleet.advance(5.0)
    fleet.scale(5)
    fleet.advance(49.0)
    assert (fleet.ready, fleet.unschedulable) == (3, 2)
    fleet.advance(61.0)
    assert (fleet.ready, fleet.unschedulable) == (5, 0)
    assert fleet.results().gpu_seconds(0.0, 50.0) == pytest.approx(2 * 50.0 + 45.0)


def test_a_crash_looping_pod_is_asked_for_and_paid_but_neither_ready_nor_pending() -> None:
    fleet = faulty(CrashLoop(0.0, 100.0))
    fleet.advance(1.0)
    fleet.scale(4)
    fleet.advance(6.0)
    assert fleet.look().signals.pending == 2
    fleet.advance(20.0)
    assert (fleet.look().signals.pending, fleet.ready, fleet.asked) == (0, 3, 4)
    fleet.advance(112.0)
    assert fleet.ready == 4


def test_slow_starts_take_their_factor() -> None:
    fleet = faulty(SlowStart(0.0, 100.0, 3.0))
    fleet.advance(1.0)
    fleet.scale(3)
    fleet.advance(30.0)
    assert fleet.ready == 2
    fleet.advance(31.5)
    assert fleet.ready == 3


def test_who_cannot_be_scraped_is_missing_and_its_amounts_are_not_made_up() -> None:
    fleet = faulty(ScrapeOutage(10.5, 20.5, 0.5), replicas=6)
    reporting, measured = {}, {}
    for second in range(1, 25):
        fleet.advance(float(second))
        signals = fleet.look().signals
        assert (signals.ready, len(fleet.look().running)) == (6, signals.reporting)
        fleet.look()
        reporting[second], measured[second] = signals.reporting, signals.measured
    assert reporting[10] == reporting[21] == 6
    assert 0 < reporting[15] < 6
    assert measured[21] == reporting[20] == reporting[15]


def test_a_hung_pod_stays_ready_until_it_is_replaced_and_its_requests_fail() -> None:
    fleet = faulty(Hang(20.0, 60.0))
    fleet.advance(40.0)
    assert fleet.look().signals.hung == 0
    fleet.advance(55.0)
    signals = fleet.look().signals
    assert (signals.ready, signals.hung) == (2, 1)
    fleet.advance(61.0)
    assert (fleet.ready, fleet.asked) == (1, 2)
    fleet.advance(71.0)
    assert fleet.ready == 2
    assert fleet.results().failed.sum() > 0


def test_a_look_is_as_old_as_its_lag() -> None:
    fleet = faulty()
    seen = []
    for second in range(1, 31):
        fleet.advance(float(second))
        seen.append(fleet.look(15.0).signals.at)
    assert seen == [1.0] * 15 + [float(second) for second in range(1, 16)]
