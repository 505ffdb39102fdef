from datetime import UTC, datetime, timedelta, timezone

import pytest

from slmfleet.core.times import seconds_since, stamp

NOW = datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-5))])
def test_a_stamp_is_in_utc_to_the_second_whatever_the_zone(zone: timezone) -> None:
    assert stamp(NOW.astimezone(zone)) == "2026-01-02T03:04:05Z"


def test_the_age_of_a_stamp_is_in_seconds() -> None:
    assert seconds_since("2026-01-02T03:03:05Z", NOW) == 60.6


@pytest.mark.parametrize("absent", [None, ""])
def test_what_has_no_time_has_no_age(absent: str | None) -> None:
    assert seconds_since(absent, NOW) == 0.0
