from dataclasses import replace
from typing import Any

import pytest

from slmfleet.core.autoscale.budget import Dial
from slmfleet.core.autoscale.load import Load
from slmfleet.core.autoscale.needs import backlog, kv_cache, needs, queue, work
from slmfleet.core.autoscale.settings import Learned, Settings
from slmfleet.core.autoscale.signals import Gateway
from tests.core.autoscale.make import SETTINGS, look

LEARNED = Learned(output_tokens=200, prompt_tokens=1000, context_tokens=1000, kv_capacity=30_000)
EACH = 0.26 + 200 * 0.0031065  # seconds of a replica for one request: tests of the work model derive it
LEAD = 150.0


def seen(seconds: int = 60, settings: Settings = SETTINGS, last: dict[str, Any] | None = None) -> Load:
    """A load of 2 requests/s for a while, and a last look."""
    load = Load(settings, LEARNED)
    for at in range(seconds):
        load.take(look(at, seconds=float(at > 0)), LEAD)
    load.take(look(seconds, **last or {}), LEAD)
    return load


def test_work_is_the_peak_and_a_margin_for_chance() -> None:
    arriving = 2 * EACH
    need = work(seen(), LEAD)
    assert need.replicas == pytest.approx(arriving + 0.3 * arriving**0.5, rel=1e-3)
    assert need.formula == "(work of 1.8 replicas at the peak of the last minutes + 0.4 for chance) / capacity 1.00"


def test_the_peak_of_five_minutes_counts() -> None:
    load = seen()
    for at in range(61, 91):
        load.take(look(at, first_tokens=8.0, prompt_tokens=8000.0), LEAD)
    for at in range(91, 91 + 299):
        load.take(look(at, first_tokens=1.0, prompt_tokens=1000.0), LEAD)
    assert load.peak == pytest.approx(8 * EACH, rel=0.02)
    for at in range(390, 430):
        load.take(look(at, first_tokens=1.0, prompt_tokens=1000.0), LEAD)
    assert load.peak == pytest.approx(EACH, rel=0.05)


def test_a_peak_is_remembered_until_the_replica_that_it_asked_for_has_been_of_use() -> None:
    slow = 600.0
    load = seen()
    for at in range(61, 91):
        load.take(look(at, first_tokens=8.0, prompt_tokens=8000.0), slow)
    for at in range(91, 91 + 710):
        load.take(look(at, first_tokens=1.0, prompt_tokens=1000.0), slow)
    assert load.peak == pytest.approx(8 * EACH, rel=0.02)
    for at in range(801, 841):
        load.take(look(at, first_tokens=1.0, prompt_tokens=1000.0), slow)
    assert load.peak == pytest.approx(EACH, rel=0.05)


def test_where_surprises_recur_the_peak_of_half_an_hour_counts_and_the_message_says_why() -> None:
    load = seen()
    for begins in (61, 661):
        for at in range(begins, begins + 60):
            load.take(look(at, first_tokens=8.0, late_first_tokens=8.0, prompt_tokens=8000.0), LEAD)
        for at in range(begins + 60, begins + 600):
            load.take(look(at, first_tokens=1.0, prompt_tokens=1000.0), LEAD)
        # 540 s after the first wave its peak is forgotten, after the second it is not
        assert load.peak == pytest.approx((1 if begins == 61 else 8) * EACH, rel=0.05)
    assert "at the peak of the last 30 min, since such waves recur, +" in work(load, LEAD).formula


def test_a_lean_fleet_is_sized_for_a_quantile_without_a_margin() -> None:
    load = seen()
    for at in range(61, 91):
        load.take(look(at, first_tokens=8.0, prompt_tokens=8000.0), LEAD)
    for at in range(91, 360):
        load.take(look(at), LEAD)
    load.budget.dial = Dial(1.0)
    assert work(load, LEAD).replicas == pytest.approx(2 * EACH, rel=1e-2)


def test_what_a_replica_can_do_divides() -> None:
    load = seen()
    full = work(load, LEAD).replicas
    load.capacity.value = 0.5
    assert work(load, LEAD).replicas == pytest.approx(2 * full)


@pytest.mark.parametrize(
    ("waiting", "replicas"),
    [
        # 38 x 1,000 tokens take 9.9 s, half of the objective on four pods is 10 s
        (38.0, None),
        # 40 x 0.26 s = 10.4 s, in 120 s; besides, (10 x 2 + 40 requests) / 10 s came
        (40.0, (10.4 / 120 + 6 * EACH) / 0.95),
    ],
)
def test_a_backlog_is_worked_off(waiting: float, replicas: float | None) -> None:
    need = backlog(seen(last={"waiting": waiting}))
    assert (need.replicas if need else None) == (pytest.approx(replicas, rel=1e-2) if replicas else None)


@pytest.mark.parametrize(
    ("depth", "waiting", "replicas"),
    [
        (None, 100.0, None),
        (4.0, 16.0, None),
        (4.0, 26.0, (10 * EACH / 120 + 4.6 * EACH) / 0.95),
    ],
)
def test_a_queue_above_its_target(depth: float | None, waiting: float, replicas: float | None) -> None:
    need = queue(seen(settings=replace(SETTINGS, queue_depth=depth), last={"waiting": waiting}))
    assert (need.replicas if need else None) == (pytest.approx(replicas, rel=1e-2) if replicas else None)


@pytest.mark.parametrize(
    ("last", "target", "replicas"),
    [
        ({"kv_tokens": 57_000.0}, 0.95, 2.0),
        ({"kv_tokens": 57_000.0}, 0.475, 4.0),
        # what waits needs a place too
        ({"kv_tokens": 57_000.0, "waiting": 57.0}, 0.95, 4.0),
        ({"kv_tokens": 28_500.0, "kv_capacity": 60_000.0, "reporting": 2}, 0.95, 2.0),
        (
            # a gateway's queue takes nobody's cache
            {"kv_tokens": 57_000.0, "gateway": Gateway(9, 28_500, 1.0, 4, 4000)},
            0.95,
            2.0,
        ),
    ],
)
def test_kv_cache(last: dict[str, Any], target: float, replicas: float) -> None:
    need = kv_cache(seen(settings=replace(SETTINGS, kv_target=target), last=last))
    assert need is not None
    assert need.replicas == pytest.approx(replicas, rel=1e-3)


def test_nothing_is_said_of_a_cache_that_nobody_has_seen() -> None:
    load = Load(SETTINGS, Learned())
    load.take(look(0, reporting=0, kv_capacity=0.0), LEAD)
    assert kv_cache(load) is None


def test_every_need_has_its_own_name() -> None:
    names = [need.name for need in needs(seen(last={"waiting": 100.0}), LEAD)]
    assert names == ["work", "backlog", "kvCache"]
