import numpy as np
import pytest

from bench.calibrate.controls import WANTED, Control, Measured, Series, controls, fitted
from bench.calibrate.cores import Disturbance
from bench.calibrate.engine import Engine
from bench.calibrate.loads import capacity, drawn, modelled
from bench.calibrate.replay import replay
from slmfleet.engine.steptime import StepTime

ENGINE = Engine(port=0, pid=0, version="0.32.0", block_size=16, num_blocks=10_000)
STEP = StepTime(a=0.002, p=120e-6, d=300e-6, kappa=90e-9)
OUTSIDE = (0.003, 2e-6)


def measured(control: Control, slower: float, others: float) -> Measured:
    """What an engine that is just like the model would show, but for its slowness."""
    played = replay(ENGINE.model(STEP), control.requests)
    seconds = float(played.first[0] if control.output == 1 else played.gaps.mean())
    outside = OUTSIDE[0] + OUTSIDE[1] * control.prompt
    return Measured(seconds * slower, outside * slower, played.steps, Disturbance(others, 0.0))


def series(control: Control) -> Series:
    """As many good measurements as are wanted, and two that were disturbed."""
    shown = [(1.0, 0.01), (3.0, 0.7), (1.0, 0.02), (2.0, 0.5), (1.0, 0.03)]
    return Series(control, [measured(control, slower, others) for slower, others in shown])


def test_the_loads_tell_all_coefficients_apart() -> None:
    found = fitted(ENGINE, [series(control) for control in controls()])
    assert (found.step.a, found.step.p, found.step.d, found.step.kappa) == pytest.approx(
        (STEP.a, STEP.p, STEP.d, STEP.kappa), rel=1e-6
    )
    assert (found.per_request, found.per_token) == pytest.approx(OUTSIDE, rel=1e-6)
    assert np.abs(found.errors).max() < 1e-6


def test_a_load_is_measured_until_enough_were_undisturbed() -> None:
    one = series(Control(16))
    assert (one.done, len(one.quietest)) == (True, WANTED)
    one.measured = one.measured[:4]
    assert not one.done


def test_open_loads_are_what_their_rate_says_and_the_same_for_a_seed() -> None:
    load = drawn(5.0, 2000, seed=3)
    assert 2000 / load.arrival[-1] == pytest.approx(5.0, rel=0.1)
    assert np.median(load.prompt) == pytest.approx(150, rel=0.1)
    again = drawn(5.0, 2000, seed=3)
    assert all(np.array_equal(getattr(load, name), getattr(again, name)) for name in ("arrival", "prompt", "output"))


def test_what_is_outside_of_steps_comes_before_them() -> None:
    found = fitted(ENGINE, [series(control) for control in controls()])
    load = drawn(0.01, 3, seed=1)  # so few that each finds an idle engine
    played, seen = modelled(ENGINE, found, load.arrival, load)
    alone = [
        0.003 + 2e-6 * prompt + replay(ENGINE.model(STEP), Control(prompt).requests).first[0] for prompt in load.prompt
    ]
    assert seen.ttft_mean == pytest.approx(np.mean(alone))
    assert played.first - load.arrival == pytest.approx(np.array(alone))


def test_an_engine_at_its_capacity_has_no_idle_time() -> None:
    found = fitted(ENGINE, [series(control) for control in controls()])
    rate = capacity(ENGINE, found, seed=1)
    twice = replay(ENGINE.model(found.step), drawn(2 * rate, 400, seed=1))
    assert 400 / max(times[-1] for times in twice.tokens) == pytest.approx(rate, rel=0.1)
