from typing import Any

import pytest

from slmfleet.core.autoscale.capacity import HIGHEST, LOWEST, Capacity
from slmfleet.core.autoscale.history import Totals
from slmfleet.core.autoscale.settings import Settings
from slmfleet.core.autoscale.signals import Gateway
from slmfleet.core.autoscale.work import Field
from tests.core.autoscale.make import SETTINGS, look


def learn(
    served: float,
    waiting: float,
    seconds: int = 120,
    start: float = 1.0,
    settings: Settings = SETTINGS,
    **fields: Any,
) -> float:
    """What is learned in a while in which four replicas serve `served` seconds of work each second."""
    capacity, totals = Capacity(settings, start), Totals(len(Field), 600)
    amounts = {Field.SERVED: 4 * served, Field.FIRST: 4.0}
    for at in range(seconds):
        totals.add(tuple(amounts.get(field, 0.0) for field in Field))
        capacity.take(look(at, **({"waiting": waiting, "max_waiting": waiting / 4} | fields)), totals)
    return capacity.value


@pytest.mark.parametrize(
    ("served", "waiting", "learned"),
    [
        # 8 wait, 4 a second leave: 2 s, more than a fifth of 5 s: what is served is what can be served
        (0.7, 8.0, 0.7),
        (1.3, 8.0, 1.3),
        # the queue is short, but not empty: nothing is known
        (0.7, 3.0, 1.0),
        # no queue: more than was thought possible is possible, less says nothing
        (1.3, 0.0, 1.3),
        (0.6, 0.0, 1.0),
    ],
)
def test_capacity_is_learned_while_it_shows(served: float, waiting: float, learned: float) -> None:
    assert learn(served, waiting, 300) == pytest.approx(learned, abs=0.02)


def test_high_load_without_a_queue_raises_it_slowly() -> None:
    assert 1.0 < learn(0.8, 0.0, 300) < 1.03


@pytest.mark.parametrize(("served", "bound"), [(0.01, LOWEST), (50.0, HIGHEST)])
def test_an_impossible_measurement_is_bounded(served: float, bound: float) -> None:
    assert learn(served, 8.0, 2000) == bound


@pytest.mark.parametrize("start", [0.0, 99.0])
def test_an_impossible_memory_is_bounded(start: float) -> None:
    assert LOWEST <= learn(0.5, 0.0, 0, start=start) <= HIGHEST


def test_one_bad_look_moves_little() -> None:
    capacity, totals = Capacity(SETTINGS, 1.0), Totals(len(Field), 600)
    for at in range(60):
        served = 4000.0 if at == 40 else 3.0
        totals.add(tuple({Field.SERVED: served, Field.FIRST: 4.0}.get(field, 0.0) for field in Field))
        capacity.take(look(at, waiting=0.0), totals)
    assert 1.0 < capacity.value < 1.25


def test_nothing_is_learned_while_pods_are_missing_or_change() -> None:
    assert learn(0.7, 8.0, reporting=3) == 1.0
    capacity, totals = Capacity(SETTINGS, 1.0), Totals(len(Field), 600)
    for at in range(120):
        totals.add(tuple({Field.SERVED: 2.0, Field.FIRST: 4.0}.get(field, 0.0) for field in Field))
        capacity.take(look(at, waiting=8.0, ready=4 + at % 20 // 10, reporting=4 + at % 20 // 10), totals)
    assert capacity.value == 1.0


def test_a_gateway_tells_the_wait() -> None:
    gateway = Gateway(requests=1, prompt_tokens=1, oldest=3.0, arrived=0, arrived_prompt_tokens=0)
    assert learn(0.7, 0.0, 300, gateway=gateway) == pytest.approx(0.7, abs=0.02)


def test_one_pod_that_hangs_says_nothing_about_the_others() -> None:
    assert learn(0.6, 80.0, 300, max_waiting=80.0) == 1.0
