"""Times as Kubernetes writes them: RFC 3339 in UTC, to the second."""

from datetime import UTC, datetime


def stamp(time: datetime) -> str:
    """A time with a zone, as text."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since(then: str | None, now: datetime) -> float:
    """Seconds from a stamp to now; 0 for none."""
    return (now - datetime.fromisoformat(then)).total_seconds() if then else 0.0
