"""The autoscalers against examples worked out by hand from their sources."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bench.autoscale.policies import apa, dynamo, hpa, keda, kpa, kubeai, static, wva
from bench.autoscale.policy import Look, Policy
from slmfleet.engine.steptime import StepTime
from tests.bench.autoscale.looks import look


def run(policy: Policy, seconds: int, see: Callable[[int], Look], current: int, ready: int | None = None) -> int:
    """The replicas after `seconds` in which new ones are ready at once, or never more than `ready`."""
    due = 0.0
    for now in range(seconds):
        policy.look(see(now))
        if now >= due:
            current = policy.desired(now, current, current if ready is None else ready)
            due = now + policy.period
    return current


@pytest.mark.parametrize(
    ("values", "current", "wanted"),
    [
        # usage of the pods that report, pods that exist -> replicas at a target of 0.8
        ([0.8, 0.8], 2, 2),
        ([0.87, 0.87], 2, 2),  # 1.0875: within the tolerance
        ([0.9, 0.9], 2, 3),  # 1.125 * 2
        ([0.4, 0.4, 0.4], 3, 2),  # 0.5 * 3
        ([1.0, 1.0], 4, 4),  # two start: (2 + 0 + 0) / 4 = 0.5: it would turn around
        ([1.0] * 4, 5, 5),  # one starts: 4 / 5 / 0.8 = 1: within the tolerance
        ([1.6] * 4, 5, 8),  # one starts: 6.4 / 5 / 0.8 = 1.6, times 5
        ([0.4, 0.4, 0.4], 4, 3),  # one starts: (1.2 + 0.8) / 4 / 0.8 = 0.625, times 4
        ([], 3, 3),
    ],
)
def test_an_hpa_counts_pods_without_a_metric_against_the_change(
    values: Sequence[float], current: int, wanted: int
) -> None:
    assert hpa.pods_replicas(np.array(values), 0.8, current) == wanted


@pytest.mark.parametrize(
    ("total", "current", "wanted"), [(25, 5, 5), (27, 5, 5), (28, 5, 6), (22.4, 5, 5), (0, 5, 0), (12, 1, 3)]
)
def test_an_external_metric_is_divided_by_its_target(total: float, current: int, wanted: int) -> None:
    assert hpa.external_replicas(total, 5, current) == wanted


def test_an_hpa_grows_by_four_or_doubles_in_15_seconds() -> None:
    behavior = hpa.Behavior()
    steps, current = [], 2
    for now in range(0, 60, 15):
        current = behavior.limited(now, current, 100)
        steps.append(current)
    assert steps == [6, 12, 24, 48]


def test_an_hpa_may_not_grow_twice_within_a_period() -> None:
    behavior = hpa.Behavior()
    assert behavior.limited(0, 2, 100) == 6
    assert behavior.limited(5, 6, 100) == 6


def test_an_hpa_shrinks_to_the_highest_of_five_minutes() -> None:
    behavior = hpa.Behavior()
    for now, wanted in ((0, 10), (100, 8), (200, 3)):
        assert behavior.limited(now, 10, wanted) == 10
    assert behavior.limited(310, 10, 3) == 8
    assert behavior.limited(510, 8, 2) == 3


def test_an_hpa_holds_the_kv_cache_at_its_target() -> None:
    assert run(hpa.hpa_kv(), 30, lambda t: look(t, kv=[1.0, 1.0]), current=2) == 3
    assert run(hpa.hpa_kv(), 400, lambda t: look(t, kv=[0.2] * 4), current=4) == 1


def test_an_hpa_on_both_takes_the_higher() -> None:
    assert run(hpa.hpa_max(), 15, lambda t: look(t, kv=[0.8, 0.8], waiting=[10, 5]), current=2) == 3
    assert run(hpa.hpa_max(), 15, lambda t: look(t, kv=[1.2, 0.8], waiting=[0, 0]), current=2) == 3


def test_a_queue_in_the_gateway_is_told_as_if_the_pods_shared_it() -> None:
    assert run(hpa.hpa_waiting(), 15, lambda t: look(t, waiting=[0, 0], held=30), current=2) == 6


def test_the_tutorials_query_stands_still_once_there_are_two_pods() -> None:
    assert run(keda.Keda(), 15, lambda t: look(t, waiting=[40, 40]), current=2) == 6
    assert run(keda.Keda(summed=False), 15, lambda t: look(t, waiting=[40, 40]), current=2) == 2
    assert run(keda.Keda(summed=False), 15, lambda t: look(t, waiting=[40]), current=1) == 5


def test_kpa_divides_by_seven_tenths_of_the_target() -> None:
    # 140 in flight / 70; it begins in panic with two pods and leaves it after a stable window
    assert run(kpa.Kpa(), 200, lambda t: look(t, in_flight=140), current=2) == 2
    assert run(kpa.Kpa(), 200, lambda t: look(t, in_flight=141), current=2) == 3


def test_kpa_panics_at_twice_what_is_ready_and_does_not_shrink_in_it() -> None:
    def traffic(t: int) -> Look:
        return look(t, in_flight=700 if 100 <= t < 110 else 70)

    assert run(kpa.Kpa(), 108, traffic, current=1) == 10
    assert run(kpa.Kpa(), 160, traffic, current=1) == 10
    assert run(kpa.Kpa(), 300, traffic, current=1) == 1


def test_kpa_shrinks_by_half_at_a_time() -> None:
    policy = kpa.Kpa()
    policy.look(look(0, in_flight=1))
    assert policy.desired(0, 8, 8) == 8
    assert policy.desired(62, 8, 8) == 4


def test_kubeai_waits_for_three_wishes_to_shrink() -> None:
    policy = kubeai.KubeAi()
    policy.look(look(0, in_flight=400))
    assert policy.desired(0, 4, 4) == 4
    policy.look(look(10, in_flight=0))
    # 59 of 60 intervals still hold 400: ceil(3.93)
    assert policy.desired(10, 5, 5) == 5
    assert [policy.desired(t, 5, 5) for t in (20, 30, 40)] == [5, 5, 4]


def test_kubeai_takes_the_mean_of_ten_minutes() -> None:
    assert run(kubeai.KubeAi(target=10), 700, lambda t: look(t, in_flight=100 if t >= 400 else 0), current=1) == 5


@pytest.mark.parametrize(
    ("value", "current", "ready", "wanted"),
    [
        # KV usage at a target of 0.5, replicas, ready ones -> replicas
        (0.54, 4, 4, 4),
        (0.75, 4, 4, 6),
        (0.9, 2, 2, 4),  # ceil(3.6), the most that the rate of 2 allows
        (1.0, 4, 4, 8),
        (0.1, 8, 8, 4),  # half at most
        (0.75, 4, 2, 4),  # pending ones count 0: 0.75 * 2 / 0.5 = 3, and not below 4
        (1.0, 4, 3, 6),
        (0.25, 4, 2, 3),  # pending ones count as the target: (0.5 + 1.0) / 0.5
    ],
)
def test_apa_stays_between_half_and_twice(value: float, current: int, ready: int, wanted: int) -> None:
    assert apa.target_replicas(value, 0.5, current, ready) == wanted


def test_apa_shrinks_after_its_cooldown() -> None:
    def usage(t: int) -> Look:
        return look(t, kv=[0.5 if t < 10 else 0.1] * 4)

    assert run(apa.Apa(window=10), 250, usage, current=4) == 4
    assert run(apa.Apa(window=10), 340, usage, current=4) == 2


@pytest.mark.parametrize(
    ("kv", "queue", "wanted"),
    [
        ([0.6, 0.6, 0.6], [0, 0, 0], 3),  # spare 0.2 >= 0.1; without one: load 0.9: not safe
        ([0.72, 0.72, 0.72], [0, 0, 0], 4),  # spare 0.08
        ([0.3, 0.3, 0.3], [0, 0, 0], 2),  # load 0.45, spare 0.35
        ([0.3, 0.3, 0.3], [2.5, 2.5, 2.5], 4),  # spare queue 2.5 < 3
        ([0.85, 0.85, 0.85], [0, 0, 0], 4),  # all saturated
        ([0.9, 0.1, 0.1], [0, 0, 0], 2),  # the saturated one does not count
        ([0.3, 0.3], [0, 0], 3),  # one does not report: in transition
    ],
)
def test_wva_v1_moves_by_one(kv: list[float], queue: list[float], wanted: int) -> None:
    assert wva.v1_target(np.array(kv), np.array(queue), 3, wva.Thresholds()) == wanted


def test_wva_v1_waits_for_its_hpas_window() -> None:
    def filling(t: int) -> Look:
        return look(t, kv=[0.6 if t < 300 else 0.9] * 2)

    assert run(wva.WvaV1(), 500, filling, current=2) == 2
    assert run(wva.WvaV1(), 580, filling, current=2) == 3
    assert run(wva.WvaV1(stabilization=0.0), 320, filling, current=2) == 3


@pytest.mark.parametrize(
    ("demand", "current", "pending", "wanted"),
    [
        # tokens, of replicas that hold 10,000 each
        (34_000, 4, 0, 4),  # 40,000 required, 40,000 there
        (34_001, 4, 0, 5),
        (60_000, 4, 2, 8),  # 70,588 - 40,000, pending ones counted
        (20_000, 4, 0, 3),  # 40,000 - 28,571 to spare
        (20_000, 4, 1, 4),  # pending ones are no supply to spare
        (0, 4, 0, 1),
    ],
)
def test_wva_v2_adds_what_misses(demand: float, current: int, pending: int, wanted: int) -> None:
    assert wva.v2_target(demand, 10_000, current, pending) == wanted


def test_wva_v2_learns_its_capacity_from_queues() -> None:
    capacity, limits = wva.Capacity(2048, 256), wva.Thresholds()
    # B O / (I + O) = 2048 * 200 / 1200 = 341 > 256 sequences; 256 * (1000 + 100)
    assert capacity.k2(0, 100, (1000, 200), limits, k1=24_000) == 281_600
    assert capacity.k2(5, 9_000, (1000, 200), limits, k1=24_000) == 9_000
    assert capacity.k2(5, 11_000, (1000, 200), limits, k1=24_000) == 11_000
    assert capacity.k2(0, 100, (1000, 200), limits, k1=24_000) == 10_000
    assert capacity.k2(0, 100, (1000, 50), limits, k1=24_000) != 10_000  # another bucket


def test_wva_v2_scales_by_tokens() -> None:
    def busy(t: int) -> Look:
        return look(t, kv=[0.8, 0.8], waiting=[4, 4], lengths=(1000, 200))

    # in use 24,000 + 4 * 1000 each = 56,000; capacity 24,000: ceil((56,000 / 0.85 - 48,000) / 24,000) = 1
    assert run(wva.WvaV2(stabilization=0.0), 16, busy, current=2) == 3


ENGINE = dynamo.Engine(StepTime(a=0.01, p=0.0, d=0.001, kappa=0.0), kv_tokens=100_000)


def test_dynamo_fills_the_batch_until_the_itl_target() -> None:
    # 10 ms + 1 ms per sequence: 40 sequences at 50 ms; 40 / (100 * 0.05)
    assert dynamo.best_rps(ENGINE, 100, 100, ttft=1.0, itl=0.0501) == pytest.approx(8)
    # the KV cache holds 100,000 / 10,050
    assert dynamo.best_rps(ENGINE, 10_000, 100, ttft=9.0, itl=1) == pytest.approx(9 / (100 * 0.019))
    # unreachable: a batch of one
    assert dynamo.best_rps(ENGINE, 100, 100, ttft=1.0, itl=0.001) == pytest.approx(1 / (100 * 0.011))


def test_dynamo_divides_demand_by_the_engines_rate() -> None:
    policy = dynamo.Dynamo(ENGINE, ttft=1.0, itl=0.0501, interval=10)
    seen = [policy.desired(0, 3, 3)]
    for t in range(10):
        policy.look(look(t, arrived=33, lengths=(100, 100)))
    seen.append(policy.desired(10, 3, 3))
    assert seen == [3, math.ceil(33 / 8)]


def test_dynamo_forecasts_a_trend_and_a_mean() -> None:
    assert dynamo.forecast([10, 20, 30]) == 30
    assert dynamo.forecast([7.0] * 9) == 7
    assert dynamo.forecast([10.0 * i for i in range(1, 12)]) == pytest.approx(120, rel=0.05)
    noise = [100 + (-1) ** i * 20 for i in range(20)]
    assert 70 <= dynamo.forecast([float(v) for v in noise]) <= 125


def test_a_schedule_keeps_its_last_number() -> None:
    plan = static.Schedule("oracle", [1, 4, 2], period=10)
    assert [plan.desired(now, 9, 9) for now in (0, 9.9, 10, 25, 1000)] == [1, 1, 4, 2, 2]
    assert static.static(3).desired(77, 1, 1) == 3
