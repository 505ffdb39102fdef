import pytest

from bench.calibrate.cores import Disturbance
from bench.calibrate.loads import Behaviour, Run
from bench.calibrate.report import compared, rounded


def run(real: float, model: float) -> Run:
    return Run(Behaviour(*[real] * 6), Behaviour(*[model] * 6), (10.0, 11), 0.0, 0.0, Disturbance(0.0, 0.0), 0.1)


def test_errors_are_of_the_model_against_the_engine_run_by_run() -> None:
    row = compared([run(2.0, 1.0), run(1.0, 1.1), run(4.0, 4.0)])["ttft_p95"]
    assert row == pytest.approx({"real": 2.0, "model": 1.1, "error": 0.0, "least": -0.5, "most": 0.1})


def test_fractions_have_four_digits_and_counts_all_of_theirs() -> None:
    assert rounded({"a": 0.000123456, "n": 123456, "b": [1.23456, True]}) == {
        "a": 0.0001235,
        "n": 123456,
        "b": [1.235, True],
    }
