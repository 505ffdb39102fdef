"""What counts as a surprise, and when surprises are a pattern."""

import pytest

from slmfleet.core.autoscale.settings import Settings
from slmfleet.core.autoscale.surprises import Surprises

SETTINGS = Settings(allowed_late=0.05)


def seen(late_in: set[int], minutes: int, late: float = 20.0, answered: float = 100.0) -> Surprises:
    """Minutes with so many first tokens, late ones in some."""
    made = Surprises(SETTINGS)
    for minute in range(minutes):
        for _ in range(60):
            made.take(1.0, answered / 60, late / 60 if minute in late_in else 0.0)
    return made


@pytest.mark.parametrize(
    ("late_in", "recur"),
    [
        pytest.param({10}, False, id="once"),
        pytest.param({10, 23}, True, id="twice within half an hour"),
        pytest.param({10, 41}, False, id="twice, further apart"),
        pytest.param({10, 60, 80}, True, id="the second and the third"),
        pytest.param(set(range(10, 35)), False, id="one that lasts"),
        pytest.param({10, 14}, False, id="one with a pause"),
        pytest.param({10, 15}, True, id="two, with four calm minutes between them"),
        pytest.param(set(), False, id="never"),
    ],
)
def test_two_surprises_within_half_an_hour_are_a_pattern(late_in: set[int], *, recur: bool) -> None:
    assert seen(late_in, 90).recur is recur


@pytest.mark.parametrize(
    ("late", "answered", "recur"),
    [
        (15.0, 100.0, False),  # three times the allowed 5 % and no more
        (16.0, 100.0, True),
        (2.0, 2.0, False),  # too few to mean anything
    ],
)
def test_a_minute_that_surprises_has_many_late(late: float, answered: float, *, recur: bool) -> None:
    assert seen({10, 23}, 90, late, answered).recur is recur


def test_a_pattern_is_forgotten_after_six_hours() -> None:
    assert seen({10, 23}, 369).recur
    assert not seen({10, 23}, 371).recur


def test_nothing_was_seen_nothing_surprises() -> None:
    assert not Surprises(SETTINGS).recur
