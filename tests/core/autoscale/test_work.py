from dataclasses import replace

import pytest

from slmfleet.core.autoscale.history import Totals
from slmfleet.core.autoscale.settings import Learned, Settings
from slmfleet.core.autoscale.signals import Gateway, Signals
from slmfleet.core.autoscale.work import GENERIC, Arrivals, Field, WorkModel
from slmfleet.engine.steptime import StepTime
from tests.core.autoscale.make import L4, SETTINGS, look

LEARNED = Learned(output_tokens=200, prompt_tokens=1000, context_tokens=1000, kv_capacity=30_000)


def seen(signals: Signals, seconds: int) -> Totals:
    """Totals of a fleet that did the same for a while."""
    totals = Totals(len(Field), 600)
    amounts = {
        Field.FIRST: signals.first_tokens,
        Field.PROMPT: signals.prompt_tokens,
        Field.CACHED: signals.cached_prompt_tokens,
        Field.FINISHED: signals.finished,
        Field.FINISHED_TOKENS: signals.finished_generated_tokens,
        Field.GENERATED: signals.generated_tokens,
        Field.RUNNING: signals.running,
        Field.KV: signals.kv_tokens,
        Field.REPLICAS: float(signals.reporting),
    }
    for _ in range(seconds):
        totals.add(tuple(amounts.get(field, 0.0) for field in Field))
    return totals


@pytest.mark.parametrize(
    ("settings", "learned", "batch"),
    [
        # 0.9 x 30,000 tokens / 1,000 for each
        (SETTINGS, LEARNED, 27.0),
        (replace(SETTINGS, max_num_seqs=16), LEARNED, 16.0),
        # (0.1 - 0.067) / (75e-6 + 0.55e-6 x 1000)
        (replace(SETTINGS, itl_objective=0.1), LEARNED, 52.8),
        (replace(SETTINGS, itl_objective=0.08), LEARNED, 20.8),
        # no batch is small enough: one at a time
        (replace(SETTINGS, itl_objective=0.05), LEARNED, 1.0),
        # nothing is known of the KV cache
        (SETTINGS, replace(LEARNED, kv_capacity=None), 256.0),
    ],
)
def test_the_batch_is_bounded_by_cache_engine_and_objective(settings: Settings, learned: Learned, batch: float) -> None:
    expected = min(batch, 27.0) if learned.kv_capacity else batch
    assert WorkModel(settings, learned).batch == pytest.approx(expected, rel=1e-3)


def test_work_by_hand() -> None:
    model = WorkModel(SETTINGS, LEARNED)
    # a token in a batch of 27: 0.067 / 27 + 75e-6 + 0.55e-6 x 1000 = 3.106 ms; 4 x 200 of them, 4,000 x 0.26 ms of prefill
    assert model.decode == pytest.approx(0.0031065, rel=1e-3)
    assert model.work(Arrivals(4, 4000)) == pytest.approx(1.04 + 4 * 200 * 0.0031065, rel=1e-3)


def test_means_are_those_of_three_minutes() -> None:
    signals = look(0, cached_prompt_tokens=500.0, finished_generated_tokens=600.0, kv_tokens=600.0)
    model = WorkModel(SETTINGS, Learned())
    model.take(signals, seen(signals, 180))
    assert model.output == pytest.approx(300)
    assert model.prompt == pytest.approx(750)
    assert model.cached == pytest.approx(0.25)
    assert model.context == pytest.approx(1200)
    assert model.kv_capacity == 30_000


def test_a_few_requests_are_no_mean() -> None:
    signals = look(0, finished_generated_tokens=4_000.0)
    model = WorkModel(SETTINGS, LEARNED)
    model.take(signals, seen(signals, 9))
    assert (model.output, model.prompt) == (200, 1000)


@pytest.mark.parametrize(
    ("first", "second", "arrived", "tokens"),
    [
        # 2 got their first token
        ({}, {}, 2.0, 2000.0),
        # and the queue grew by 3
        ({"waiting": 2.0}, {"waiting": 5.0}, 5.0, 5000.0),
        ({"waiting": 3.0}, {"waiting": 2.0}, 1.0, 1000.0),
        # what the prefix cache has is no work
        ({}, {"cached_prompt_tokens": 500.0}, 2.0, 1500.0),
        # half of the pods are missing: the others stand for them, their queue says nothing
        ({"waiting": 2.0}, {"waiting": 9.0, "reporting": 2}, 4.0, 4000.0),
        ({"waiting": 2.0, "reporting": 2}, {"waiting": 9.0}, 2.0, 2000.0),
    ],
)
def test_arrivals_without_a_gateway(
    first: dict[str, float], second: dict[str, float], arrived: float, tokens: float
) -> None:
    model = WorkModel(SETTINGS, LEARNED)
    model.arrivals(look(0, **first))
    assert model.arrivals(look(1, **second)) == Arrivals(arrived, tokens)


def test_a_gateway_counts_exactly() -> None:
    gateway = Gateway(requests=10, prompt_tokens=9000, oldest=1.0, arrived=6, arrived_prompt_tokens=5000)
    model = WorkModel(SETTINGS, LEARNED)
    signals = look(0, gateway=gateway, waiting=2.0)
    assert model.arrivals(signals) == Arrivals(6, 5000)
    assert model.queued_tokens(signals) == 9000 + 2 * 1000


@pytest.mark.parametrize("speed", [0.3, 1.0, 4.0])
def test_the_speed_of_an_unknown_accelerator_is_measured(speed: float) -> None:
    # one replica, 20 sequences of 1,000 tokens, 2,000 prompt tokens a second: s = speed (a + 20 d + 20,000 kappa + 2,000 p s)
    fixed = GENERIC.a + 20 * GENERIC.d + 20_000 * GENERIC.kappa
    step = speed * fixed / (1 - speed * GENERIC.p * 2000)
    signals = look(
        0, reporting=1, ready=1, running=20.0, kv_tokens=20_000.0, prompt_tokens=2000.0, generated_tokens=20 / step
    )
    model = WorkModel(Settings(), Learned())
    for _ in range(200):
        model.take(signals, seen(signals, 180))
    assert model.speed == pytest.approx(speed, rel=0.01)
    assert model.step.a == pytest.approx(GENERIC.a * speed, rel=0.01)
    assert model.step.kappa == pytest.approx(GENERIC.kappa * speed, rel=0.01)


def test_a_known_accelerator_is_measured_from_where_it_stands() -> None:
    model = WorkModel(SETTINGS, Learned(speed=2.0))
    assert model.step == StepTime(2 * L4.a, 2 * L4.p, 2 * L4.d, 2 * L4.kappa)
    # one replica, 10 sequences of 1,000 tokens, 500 prompt tokens a second, steps as long as L4 says
    step = (L4.a + 10 * L4.d + 10_000 * L4.kappa) / (1 - L4.p * 500)
    signals = look(
        0, reporting=1, ready=1, running=10.0, kv_tokens=10_000.0, prompt_tokens=500.0, generated_tokens=10 / step
    )
    for _ in range(200):
        model.take(signals, seen(signals, 180))
    assert model.speed == pytest.approx(1.0, rel=0.01)
