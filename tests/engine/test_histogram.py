from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.engine.histogram import Histogram

BUCKETS = Histogram((0.5, 1.0, 2.0, inf), (10.0, 30.0, 40.0, 44.0))


@pytest.mark.parametrize(
    ("limit", "over"),
    [
        # limit, values above it
        (0.5, 34.0),  # a bound: exact
        (2.0, 4.0),
        (0.75, 24.0),  # halfway through the 20 values from 0.5 to 1
        (0.0, 44.0),  # below the first bound from 0
        (0.25, 39.0),
        (5.0, 4.0),  # above the last bound nothing can be told apart
        (inf, 0.0),
    ],
)
def test_values_above_a_limit_are_exact_at_bounds_and_lie_evenly_between_them(limit: float, over: float) -> None:
    assert BUCKETS.over(limit) == pytest.approx(over)


@pytest.mark.parametrize(
    ("bounds", "counts", "message"),
    [
        ((1.0, 2.0), (1.0, 2.0), "le=\\+Inf"),
        ((), (), "le=\\+Inf"),
        ((1.0, inf), (2.0, 1.0), "fewer"),
    ],
)
def test_what_is_no_histogram_is_refused(bounds: tuple[float, ...], counts: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Histogram(bounds, counts)


@given(st.lists(st.floats(0, 100), max_size=50), st.floats(0, 200), st.floats(0, 200))
def test_more_is_above_a_lower_limit_and_the_error_is_at_most_one_bucket(
    values: list[float], one: float, other: float
) -> None:
    bounds = (1.0, 5.0, 20.0, 80.0, inf)
    made = Histogram(bounds, tuple(float(sum(v <= bound for v in values)) for bound in bounds))
    low, high = sorted((one, other))
    assert made.over(low) >= made.over(high) >= 0
    place = next(i for i, bound in enumerate(bounds) if low <= bound)
    in_bucket = made.counts[place] - (made.counts[place - 1] if place else 0.0)
    assert abs(made.over(low) - sum(v > low for v in values)) <= in_bucket + 1e-9
