"""What more and fewer replicas do to pods and requests."""

from dataclasses import replace

import numpy as np
import pytest

from bench.autoscale.fleet import Fleet, Quota, Results, Settings

from .fleets import ENGINE, STATIC, made


def test_start_times_have_the_given_quantiles() -> None:
    fleet = Fleet(made(10, 1.0), ENGINE, Settings(replicas=0, quota=300, start_p50=110.0, start_p90=180.0))
    fleet.scale(300)
    fleet.advance(2000.0)
    pods = fleet.results().pods
    assert np.quantile(pods[:, 1] - pods[:, 0], [0.5, 0.9]) == pytest.approx([110.0, 180.0], rel=0.1)


def drained(settings_: Settings, seconds: float = 400.0) -> tuple[Fleet, Results]:
    """Three pods under load, of which two are taken away after 20 s."""
    fleet = Fleet(made(400, 4.0), ENGINE, settings_)
    fleet.advance(20.0)
    fleet.scale(1)
    fleet.advance(seconds)
    return fleet, fleet.results()


def test_a_drained_pod_answers_what_it_has_and_is_paid_until_then() -> None:
    fleet, results = drained(STATIC)
    assert (fleet.asked, fleet.ready) == (1, 1)
    assert not results.failed.any()
    gone = np.sort(results.pods[:, 2])
    assert 20.0 < gone[0] <= gone[1] < 100.0
    assert gone[2] == np.inf
    assert results.gpu_seconds(10.0, 200.0) == pytest.approx(190.0 + (gone[0] - 10.0) + (gone[1] - 10.0))


def test_what_still_runs_at_the_drain_timeout_fails() -> None:
    _, results = drained(replace(STATIC, drain_timeout=1.0), 5000.0)
    assert 0 < results.failed.sum() < 33
    assert np.sort(results.pods[:, 2])[:2] == pytest.approx([21.0, 21.0])
    assert not np.isfinite(results.finish[results.failed]).any()


def test_scaling_up_takes_draining_pods_back_only_where_that_is_possible() -> None:
    for put_back, ready in ((True, 3), (False, 1)):
        fleet = Fleet(made(400, 4.0), ENGINE, replace(STATIC, put_back=put_back, quota=9))
        fleet.advance(20.0)
        fleet.scale(1)
        fleet.scale(3)
        assert (fleet.asked, fleet.ready) == (3, ready)


def test_fewer_replicas_take_those_without_a_gpu_first_then_booting_then_idle_ones() -> None:
    fleet = Fleet(made(50, 0.2), ENGINE, Settings(replicas=2, quota=5, faults=(Quota(0.0, 1e6, 4),)))
    fleet.advance(9.0)
    fleet.scale(5)
    assert (fleet.ready, fleet.asked, fleet.unschedulable) == (2, 5, 1)
    for desired, unschedulable, ready in ((4, 0, 2), (3, 0, 2), (2, 0, 2), (1, 0, 1)):
        fleet.scale(desired)
        assert (fleet.asked, fleet.unschedulable, fleet.ready) == (desired, unschedulable, ready)
