"""The bounds for those who know every request beforehand."""

import numpy as np
import pytest

from bench.autoscale import oracle
from bench.autoscale.hardware import Gpu, named
from bench.autoscale.workload import Workload
from slmfleet.engine.steptime import StepTime

# A prompt token costs 1 ms and nothing else costs anything.
PREFILL = Gpu("test", StepTime(a=0.0, p=0.001, d=0.0, kappa=0.0), 1_000_000, 1.0, ttft=10.0, itl=1.0)


def load(levels: list[tuple[float, float]], each: int = 100) -> Workload:
    """So many replicas' work for so many seconds, in requests of `each` prompt tokens."""
    arrival, now = [], 0.0
    for replicas, seconds in levels:
        count = round(replicas * seconds / (each * PREFILL.step.p))
        arrival.append(now + seconds * (np.arange(count) + 0.5) / max(1, count))
        now += seconds
    times = np.concatenate(arrival)
    return Workload("w", times, np.full(len(times), each), np.ones(len(times), np.int64), now)


def test_a_requests_least_work_shares_each_step_as_widely_as_the_cache_allows() -> None:
    gpu = Gpu("g", StepTime(a=0.1, p=0.001, d=0.01, kappa=1e-6), 10_000, 1.0, 5.0, 1.0)
    one = Workload("w", np.zeros(1), np.array([1000]), np.array([100]), 1.0)
    costs = oracle.work(one, gpu)
    context = 100 * 1000 + 100**2 / 2
    assert costs.prefill[0] == pytest.approx(1.0)
    assert costs.decode[0] == pytest.approx(100 * 0.01 + context * 1e-6 + 0.1 * context / 10_000)


def test_the_dearest_hundredth_is_left_out() -> None:
    mixed = Workload("w", np.zeros(200), np.r_[np.full(198, 10), [5000, 5000]], np.ones(200, np.int64), 1.0)
    counted = oracle.work(mixed, PREFILL).counted
    assert counted.tolist() == [True] * 198 + [False] * 2


def test_blocks_that_came_before_cost_nothing() -> None:
    shared = Workload(
        "w",
        np.array([0.0, 1.0]),
        np.array([1000, 1000]),
        np.array([1, 1]),
        2.0,
        blocks=np.array([5, 6, 5, 7]),
        first_block=np.array([0, 2, 4]),
        block_tokens=500,
    )
    assert oracle.first_seen(shared).tolist() == [1000, 500]


def test_lb0_is_the_work_and_one_replica_at_least() -> None:
    assert oracle.lb0(load([(2.0, 3600)]), PREFILL, 0) == pytest.approx(2 * 0.99, rel=0.01)
    assert oracle.lb0(load([(0.5, 3600)]), PREFILL, 1800) == pytest.approx(0.5)


def test_a_constant_load_needs_whole_replicas() -> None:
    plan = oracle.lb1(load([(2.99, 1200)]), PREFILL, 60.0, since=0, replicas=3)
    assert set(plan.replicas[:-9].tolist()) == {3}
    assert plan.gpu_hours == pytest.approx(3 * 1200 / 3600, rel=0.03)


@pytest.mark.parametrize(
    ("dip", "start", "lowest"),
    [
        # A dip of 3 replicas that is shorter than a start is not worth it, a longer one is.
        (100.0, 200.0, 4),
        (400.0, 200.0, 1),
        (100.0, 10.0, 1),
    ],
)
def test_a_dip_is_taken_where_it_pays_for_the_start(dip: float, start: float, lowest: int) -> None:
    made = load([(3.8, 900), (0.5, dip), (3.8, 900)])
    plan = oracle.lb1(made, PREFILL, start, since=0, replicas=4)
    inside = plan.replicas[int(920 / plan.bin) : int((880 + dip) / plan.bin)]
    assert inside.min() == lowest


def test_a_plan_serves_its_work_by_its_deadlines() -> None:
    made = load([(1.0, 600), (6.0, 300), (2.0, 600)])
    plan = oracle.lb1(made, PREFILL, 30.0, since=0, replicas=2)
    costs = oracle.work(made, PREFILL).total
    capacity = np.cumsum(plan.replicas * plan.bin)
    for t in range(20, len(plan.replicas)):
        due = costs[made.arrival + PREFILL.ttft <= t * plan.bin].sum()
        before = costs[made.arrival <= 200].sum()
        assert capacity[t - 1] - capacity[19] + before >= due - 2 * plan.bin


def test_starting_replicas_bills_their_start() -> None:
    made = load([(1.0, 900), (4.0, 900)])
    cheap = oracle.lb1(made, PREFILL, 1.0, since=0, replicas=1).gpu_hours
    dear = oracle.lb1(made, PREFILL, 120.0, since=0, replicas=1).gpu_hours
    assert dear - cheap == pytest.approx(3 * 119 / 3600, rel=0.15)


def test_the_cache_must_hold_what_runs() -> None:
    small = Gpu("g", StepTime(a=0.1, p=1e-6, d=0.0, kappa=0.0), 2000, 1.0, 5.0, 1.0)
    # 10 requests at a time of 1,000 tokens each, 10 s long
    arrival = np.arange(0, 900, 1.0)
    busy = Workload("w", arrival, np.full(900, 950), np.full(900, 100), 900.0)
    assert oracle.lb1(busy, small, 10.0, since=0, replicas=5).replicas[30:80].min() >= 5


def test_gpus_are_found_whatever_their_case() -> None:
    assert named("a100").name == "A100-80"
    with pytest.raises(ValueError, match="L4, A10G, A100-80, H100"):
        named("T4")
