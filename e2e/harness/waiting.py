"""Waiting for what should become true, with a deadline and an explanation when it does not."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
INTERVAL_SECONDS = 0.1


class NotYetError(AssertionError):
    """Something did not become true in time."""


def eventually(
    predicate: Callable[[], T],
    *,
    within: float,
    what: str,
    explain: Callable[[], str] | None = None,
    every: float = INTERVAL_SECONDS,
) -> T:
    """The first true answer of `predicate`, looked at `every` so many seconds until `within` seconds are over.

    An AssertionError of the predicate counts as "not yet", and its text as what was seen last. After the deadline
    NotYetError says `what` should have become true, what was seen instead, and what `explain` finds out.
    """
    deadline = time.monotonic() + within
    while True:
        seen = ""
        try:
            if answer := predicate():
                return answer
        except AssertionError as error:
            seen = f"; last seen: {error}"
        if time.monotonic() > deadline:
            raise NotYetError(f"not within {within:g} s: {what}{seen}\n{explain() if explain else ''}")
        time.sleep(every)
