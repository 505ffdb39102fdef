import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.calibrate.fit import fit

ROWS = np.array([[1.0, prompt, seqs, context] for prompt, seqs, context in np.ndindex(4, 4, 4)]) * [1, 100, 1, 500]


@given(st.tuples(*[st.floats(1e-4, 1e-2)] * 4))
def test_exact_measurements_give_their_coefficients(true: tuple[float, ...]) -> None:
    assert fit(ROWS, ROWS @ true) == pytest.approx(np.array(true), rel=1e-6)


def test_one_measurement_that_was_disturbed_moves_little() -> None:
    true = np.array([0.002, 1e-4, 3e-4, 1e-7])
    values = ROWS @ true * (1 + 0.01 * np.random.default_rng(1).standard_normal(len(ROWS)))
    values[17] *= 10
    assert ROWS @ fit(ROWS, values) == pytest.approx(ROWS @ true, rel=0.02)


def test_short_times_count_as_much_as_long_ones() -> None:
    rows = np.array([[1.0], [1.0], [1000.0], [1000.0]])
    assert fit(rows, np.array([1.0, 1.2, 1000.0, 1200.0])) == pytest.approx(1.1, rel=0.02)


def test_no_coefficient_is_negative() -> None:
    rows = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    assert fit(rows, np.array([1.0, 0.9, 0.8])) == pytest.approx([0.9, 0.0], rel=0.05)


def test_fewer_measurements_than_coefficients_are_refused() -> None:
    with pytest.raises(ValueError, match="3 measurements cannot tell 4 coefficients"):
        fit(ROWS[:3], ROWS[:3, 0])
