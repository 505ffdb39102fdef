from datetime import UTC, datetime, timedelta

import pytest

from slmfleet.core.autoscale.decision import Bound
from slmfleet.core.autoscale.schedules import Schedule, floor_at, opened, problem


def schedule(
    start: str, hours: float, zone: str = "Europe/Berlin", replicas: int = 3, name: str = "office"
) -> Schedule:
    return Schedule(name, start, hours * 3600, zone, replicas)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "floor"),
    [
        # a Friday in winter: 8:00 in Berlin is 7:00
        ("2026-11-20 06:59:59", None),
        ("2026-11-20 07:00:00", 3),
        ("2026-11-20 16:59:59", 3),
        ("2026-11-20 17:00:00", None),
        # Saturday
        ("2026-11-21 08:00:00", None),
        # summer: 6:00
        ("2026-07-03 06:00:00", 3),
        ("2026-07-03 16:00:00", None),
    ],
)
def test_office_hours(now: str, floor: int | None) -> None:
    bound = floor_at([schedule("0 8 * * MON-FRI", 10)], at(now))
    assert bound == (None if floor is None else Bound(3, "schedule office"))


@pytest.mark.parametrize(
    ("start", "hours", "opens", "closes"),
    [
        # 29 March: 2:00 is 3:00. What should start in the hour that is skipped starts right after it
        ("30 2 * * *", 2, "2026-03-29 01:00", "2026-03-29 03:00"),
        ("0 2 * * *", 2, "2026-03-29 01:00", "2026-03-29 03:00"),
        ("0 1 * * *", 2, "2026-03-29 00:00", "2026-03-29 02:00"),
        # 25 October: 3:00 is 2:00. What starts in the hour that comes twice starts once
        ("30 2 * * *", 2, "2026-10-25 00:30", "2026-10-25 02:30"),
        ("0 1 * * *", 4, "2026-10-24 23:00", "2026-10-25 03:00"),
    ],
)
def test_clocks_that_change(start: str, hours: float, opens: str, closes: str) -> None:
    windows = [schedule(start, hours)]
    day = timedelta(hours=6)
    now, seen = at(opens) - day, []
    while now < at(closes) + day:
        if floor_at(windows, now):
            seen.append(now)
        now += timedelta(minutes=5)
    assert (seen[0], seen[-1] + timedelta(minutes=5)) == (at(opens), at(closes))
    assert len(seen) == (at(closes) - at(opens)) / timedelta(minutes=5)


def test_the_highest_floor_wins() -> None:
    windows = [
        schedule("0 0 * * *", 24, replicas=2, name="always"),
        schedule("0 8 * * *", 4, replicas=5, name="morning"),
        schedule("0 9 * * *", 4, replicas=4, name="day"),
    ]
    assert floor_at(windows, at("2026-11-20 08:30")) == Bound(5, "schedule morning")
    assert floor_at(windows, at("2026-11-20 11:30")) == Bound(4, "schedule day")
    assert floor_at(windows, at("2026-11-20 20:00")) == Bound(2, "schedule always")
    assert floor_at([], at("2026-11-20 20:00")) is None


def test_a_window_of_days() -> None:
    window = schedule("0 18 * * FRI", 62)
    assert opened(window, at("2026-11-23 06:59")) == at("2026-11-20 17:00")
    assert opened(window, at("2026-11-23 07:00")) is None


@pytest.mark.parametrize(
    ("start", "zone", "text"),
    [
        ("0 8 * * MON-FRI", "Europe/Berlin", None),
        ("0 8 * * *", "UTC", None),
        ("0 8 * *", "UTC", '"0 8 * *" must have five fields: minute, hour, day of the month, month, day of the week.'),
        (
            "0 0 8 * * *",
            "UTC",
            '"0 0 8 * * *" must have five fields: minute, hour, day of the month, month, day of the week.',
        ),
        ("0 25 * * *", "UTC", '"0 25 * * *" is no cron expression: Bad hour.'),
        ("0 8 31 2 *", "UTC", '"0 8 31 2 *" is no cron expression: Bad day-of-month.'),
        ("0 8 * * *", "Berlin", 'time zone "Berlin" is unknown. Use a name such as Europe/Berlin.'),
        ("0 8 * * *", "Europe", 'time zone "Europe" is unknown. Use a name such as Europe/Berlin.'),
        ("0 8 * * *", "../etc", 'time zone "../etc" is unknown. Use a name such as Europe/Berlin.'),
    ],
)
def test_what_is_wrong_with_a_schedule(start: str, zone: str, text: str | None) -> None:
    assert problem(schedule(start, 1, zone)) == text
