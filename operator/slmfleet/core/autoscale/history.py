"""What a fleet's looks added up to, over windows of time, at a cost that does not grow with the windows."""

from array import array
from collections import deque

MINUTE = 60
"""Seconds."""


class Totals:
    """Running totals of several amounts in equal bins of time: the sum over any window is one subtraction."""

    def __init__(self, fields: int, bins: int) -> None:
        self._size = bins + 1
        self._totals = [array("d", bytes(8 * self._size)) for _ in range(fields)]
        self._last = 0
        self.bins = 0
        """How many bins were ever added."""

    def add(self, amounts: tuple[float, ...]) -> None:
        """Append one bin."""
        last, at = self._last, (self._last + 1) % self._size
        for totals, amount in zip(self._totals, amounts, strict=True):
            totals[at] = totals[last] + amount
        self._last = at
        self.bins += 1

    def over(self, field: int, bins: int, ago: int = 0) -> float:
        """The sum of a field's last `bins` bins, ended `ago` bins ago; fewer where fewer are known."""
        known = min(self.bins, self._size - 1)
        end = min(ago, known)
        start = min(end + bins, known)
        totals = self._totals[field]
        return totals[self._last - end] - totals[self._last - start]


class Answers:
    """First tokens and the late ones of them, in bins of a minute, and the minute that is under way."""

    def __init__(self, minutes: int) -> None:
        """`minutes`: how far back it reaches."""
        self._minutes = Totals(2, minutes)
        self.answered = self.late = self.seconds = 0.0
        """Of the minute under way."""

    @property
    def minutes(self) -> int:
        """Whole minutes so far."""
        return self._minutes.bins

    def take(self, seconds: float, answered: float, late: float) -> tuple[float, float] | None:
        """Take in a look; the minute that has ended with it."""
        self.answered += answered
        self.late += late
        self.seconds += seconds
        if self.seconds < MINUTE:
            return None
        ended = (self.answered, self.late)
        self._minutes.add(ended)
        self.answered = self.late = self.seconds = 0.0
        return ended

    def over(self, minutes: int) -> tuple[float, float]:
        """Of the last whole minutes."""
        return self._minutes.over(0, minutes), self._minutes.over(1, minutes)


class Highest:
    """The highest value of the last `seconds`, kept up at constant cost (a monotonic queue)."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._falling: deque[tuple[float, float]] = deque()

    def add(self, at: float, value: float) -> None:
        """Take in a value; times never fall."""
        falling = self._falling
        while falling and falling[-1][1] <= value:
            falling.pop()
        falling.append((at, value))

    def at(self, now: float, seconds: float | None = None) -> float:
        """The highest value younger than the window, or than the shorter `seconds`; 0 without any."""
        falling = self._falling
        while falling and falling[0][0] <= now - self.seconds:
            falling.popleft()
        if seconds is None or seconds >= self.seconds:
            return falling[0][1] if falling else 0.0
        return next((value for at, value in falling if at > now - seconds), 0.0)


class Recent:
    """The last values, one for each second."""

    def __init__(self, size: int) -> None:
        self._values: deque[float] = deque(maxlen=size)

    def add(self, value: float) -> None:
        """Append a second's value."""
        self._values.append(value)

    def quantile(self, share: float, seconds: int) -> float:
        """The value that `share` of the last seconds do not exceed; 0 without any."""
        values = self._values
        chosen = sorted(values[i] for i in range(max(-len(values), -seconds), 0))
        return chosen[min(int(share * len(chosen)), len(chosen) - 1)] if chosen else 0.0
