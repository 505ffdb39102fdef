"""Insurance against sudden rises: what the last hour's rises needed, where they were worth it."""

from collections import deque
from dataclasses import dataclass

from slmfleet.core.autoscale.history import Totals

MEMORY = 3600.0
"""Seconds that a rise is remembered."""
MINUTE = 60
"""Seconds."""
RISE = 1.1
MARGIN = 0.5
"""A rise is load above RISE x the need of a lead time ago, by more than MARGIN replicas."""
APART = 60.0
"""Seconds beyond a lead time that make two rises of one."""
NEGLIGIBLE = 0.02
"""Share of an hour's work that may come in rises that nothing was kept for."""
FEWEST = 2
"""Rises that are a habit."""


@dataclass(slots=True)
class Rise:
    """A time in which the load was above what the fleet could have had ready."""

    started: float
    ended: float
    peak: float
    """Seconds of a replica per second."""
    work: float
    """Seconds of a replica."""


class Surges:
    """The rises of the last hour."""

    def __init__(self) -> None:
        self._rises: deque[Rise] = deque()
        self._minutes = Totals(1, round(MEMORY / MINUTE))
        self._minute = 0.0
        self._seconds = 0

    def take(self, at: float, load: float, expected: float, lead: float) -> None:
        """Take in one second of load, and what the fleet was sized for a lead time before."""
        self._seconds += 1
        self._minute += load
        if self._seconds == MINUTE:
            self._minutes.add((self._minute,))
            self._minute, self._seconds = 0.0, 0
        rises = self._rises
        while rises and rises[0].ended < at - MEMORY:
            rises.popleft()
        if load <= RISE * expected + MARGIN:
            return
        if rises and at - rises[-1].ended < APART + lead:
            rise = rises[-1]
            rise.ended, rise.peak, rise.work = at, max(rise.peak, load), rise.work + load
        else:
            rises.append(Rise(at, at, load, load))

    def worth(self) -> float:
        """The smallest peak above which little work came, that enough rises reached; 0 where none is worth it."""
        hours_work = self._minutes.over(0, self._minutes.bins) + self._minute
        above, worth = 0.0, 0.0
        for reached, rise in enumerate(sorted(self._rises, key=lambda rise: -rise.peak), 1):
            if above > NEGLIGIBLE * hours_work:
                break
            if reached >= FEWEST:
                worth = rise.peak
            above += rise.work
        return worth
