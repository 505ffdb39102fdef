"""Whether load comes in waves that the fleet was not ready for: what surprised twice within half an hour comes again.

A surprise begins with a minute in which several times as many first tokens are late as the objective allows, after some
minutes in which it was not so. A fleet that keeps its objective all the same may be surprised.
"""

from collections import deque
from itertools import pairwise

from slmfleet.core.autoscale.history import Answers
from slmfleet.core.autoscale.settings import Settings

TIMES = 3.0
"""How many times the allowed share must be late in a minute that surprises."""
FEWEST = 3
"""Late first tokens that such a minute has at least."""
CALM = 4
"""Minutes without such a one that part two surprises."""
APART = 30
"""Minutes between the beginnings of two surprises that count as a pattern."""
WINDOW = 360
"""Minutes that a surprise is remembered, and that the objective is kept or missed over."""


class Surprises:
    """The beginnings of the last hours' surprises, on the clock of what was seen."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = settings.allowed_late
        self._answers = Answers(WINDOW)
        self._last = -CALM - 1
        """The minute that surprised last."""
        self._began: deque[int] = deque()

    @property
    def recur(self) -> bool:
        """Whether two of them came shortly after each other, and more is late than the objective allows."""
        answered, late = self._answers.over(WINDOW)
        pattern = any(after - before <= APART for before, after in pairwise(self._began))
        return pattern and late > self._allowed * answered

    def take(self, seconds: float, answered: float, late: float) -> None:
        """Take in a look: first tokens, and the late ones of them."""
        ended = self._answers.take(seconds, answered, late)
        if ended is not None:
            self._end_minute(*ended)

    def _end_minute(self, answered: float, late: float) -> None:
        minute = self._answers.minutes
        while self._began and minute - self._began[0] >= WINDOW:
            self._began.popleft()
        if late < FEWEST or late <= TIMES * self._allowed * answered:
            return
        if minute - self._last > CALM:
            self._began.append(minute)
        self._last = minute
