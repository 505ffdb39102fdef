from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.autoscale.fleet.requests import Requests
from bench.calibrate.replay import Replayed, replay
from slmfleet.simulator.records import EngineModel


def engine(**changed: Any) -> EngineModel:
    return EngineModel(**({"num_blocks": 1000, "a": 1.0, "p": 0.0, "max_num_seqs": 4} | changed))


def requests(*each: tuple[float, int, int]) -> Requests:
    arrival, prompt, output = zip(*each, strict=True)
    return Requests(np.array(arrival, dtype=float), np.array(prompt), np.array(output))


def tokens(played: Replayed) -> list[list[float]]:
    return [list(times) for times in played.tokens]


def test_an_arrival_during_a_step_is_seen_after_it() -> None:
    # Steps end at 1, 2, 3, 4; the second request comes at 0.5 and is in the step from 1 to 2.
    assert tokens(replay(engine(), requests((0.0, 10, 2), (0.5, 10, 3)))) == [[1, 2], [2, 3, 4]]


def test_an_idle_engine_begins_when_a_request_arrives() -> None:
    played = replay(engine(), requests((0.0, 10, 1), (7.5, 10, 2)))
    assert (tokens(played), played.steps) == ([[1], [8.5, 9.5]], 3)


def test_a_long_prompt_takes_its_chunks() -> None:
    played = replay(engine(p=0.01, max_num_batched_tokens=100), requests((0.0, 250, 1)))
    assert (played.first.tolist(), played.steps) == ([pytest.approx(3 + 2.5)], 3)


@given(
    st.tuples(*[st.floats(0.001, 1.0)] * 4),
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 20)), min_size=1, max_size=8),
)
def test_times_are_linear_in_the_coefficients_when_all_arrive_at_once(
    values: tuple[float, ...], each: list[tuple[int, int]]
) -> None:
    load = requests(*((0.0, prompt, output) for prompt, output in each))
    names = ("a", "p", "d", "kappa")

    def at(**step: float) -> Replayed:
        return replay(engine(max_num_batched_tokens=64, **step), load)

    whole = at(**dict(zip(names, values, strict=True)))
    parts = [at(**{term: float(term == name) for term in names}) for name in names]
    for key, times in enumerate(whole.tokens):
        summed = sum(value * part.tokens[key] for value, part in zip(values, parts, strict=True))
        assert times == pytest.approx(summed)
