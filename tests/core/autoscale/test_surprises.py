"""What counts as a surprise, and when surprises are a pattern."""

import pytest

from slmfleet.core.autoscale.settings import Settings
from slmfleet.core.autoscale.surprises import Surprises

SETTINGS = Settings(allowed_late=0.05)


def seen(late_in: set[int], minutes: int, late: float = 600.0, calm: float = 20.0, wave: float = 1000.0) -> Surprises:
    """Minutes with few first tokens, all in time; some with many, and late ones among them."""
    made = Surprises(SETTINGS)
    for minute in range(minutes):
        answered, missed = (wave, late) if minute in late_in else (calm, 0.0)
        for _ in range(60):
            made.take(1.0, answered / 60, missed / 60)
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
    ("late", "wave", "recur"),
    [
        (150.5, 1000.0, True),
        (149.5, 1000.0, False),  # less than three times the allowed 5 %
        (2.0, 2.0, False),  # too few to mean anything
    ],
)
def test_a_minute_that_surprises_has_many_late(late: float, wave: float, *, recur: bool) -> None:
    assert seen({10, 23}, 90, late, 1.0, wave).recur is recur


def test_a_fleet_that_keeps_its_objective_may_be_surprised() -> None:
    # two minutes with 600 late are 1,200 of the 4,500 that 90 minutes allow
    assert not seen({10, 23}, 90, calm=1000.0).recur


def test_a_pattern_is_forgotten_after_six_hours() -> None:
    assert seen({10, 23}, 369).recur
    assert not seen({10, 23}, 371).recur


def test_nothing_was_seen_nothing_surprises() -> None:
    assert not Surprises(SETTINGS).recur
