"""Floors by the calendar: a window that opens when a cron expression fires and stays open for a duration."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from slmfleet.core.autoscale.decision import Bound


@dataclass(frozen=True, slots=True)
class Schedule:
    """One window with a floor."""

    name: str
    start: str
    """Five cron fields, on the clocks of the time zone."""
    seconds: float
    """That a window stays open: of time that passes, whatever the clocks do meanwhile."""
    time_zone: str
    """As in the IANA database, such as Europe/Berlin."""
    replicas: int


def problem(schedule: Schedule) -> str | None:
    """What is wrong with a schedule; None where nothing is."""
    try:
        zone = ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder in the database
        return f'time zone "{schedule.time_zone}" is unknown. Use a name such as Europe/Berlin.'
    if len(schedule.start.split()) != 5:
        return f'"{schedule.start}" must have five fields: minute, hour, day of the month, month, day of the week.'
    try:
        next(CronSim(schedule.start, datetime(2026, 1, 1, tzinfo=zone)))
    except CronSimError as error:
        return f'"{schedule.start}" is no cron expression: {error}.'
    except StopIteration:
        return f'"{schedule.start}" never fires.'
    return None


def opened(schedule: Schedule, now: datetime) -> datetime | None:
    """When the window that is open at `now` (aware) was opened last; None where it is closed.

    An hour that the clocks skip fires right after it, one that they repeat fires once, as cron does.
    """
    soon = now.astimezone(UTC) + timedelta(hours=2)  # ahead: clocks that go back would hide the last firing
    fires: Iterator[datetime] = CronSim(schedule.start, soon.astimezone(ZoneInfo(schedule.time_zone)), reverse=True)
    for fired in fires:
        age = (now.astimezone(UTC) - fired.astimezone(UTC)).total_seconds()
        if age >= 0:
            return fired if age < schedule.seconds else None
    return None


def floor_at(schedules: Iterable[Schedule], now: datetime) -> Bound | None:
    """The highest floor of the windows that are open at `now` (aware); None where none is.

    The schedules are well-formed: `problem` has nothing to say about them.
    """
    open_now = [schedule for schedule in schedules if opened(schedule, now) is not None]
    if not open_now:
        return None
    highest = max(open_now, key=lambda schedule: schedule.replicas)
    return Bound(highest.replicas, f"schedule {highest.name}")
