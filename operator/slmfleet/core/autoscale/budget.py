"""The error budget: how lean a fleet may run, from how many of the misses that an objective allows are left.

An objective allows misses. An account of them moves one dial from 0 (every known margin) to 1 (lean).
"""

from dataclasses import dataclass

from slmfleet.core.autoscale.history import MINUTE, Answers
from slmfleet.core.autoscale.settings import Learned, Settings

HOUR = 60
"""Minutes."""
WINDOW = 360
"""Minutes that the account covers."""
ENOUGH = 200
"""First tokens before anything is offered."""
SLOWEST = 0.005
"""What the dial gains in a second at most: 200 s from one end to the other."""


def clamp(value: float) -> float:
    """Between 0 and 1."""
    return min(1.0, max(0.0, value))


@dataclass(frozen=True, slots=True)
class Dial:
    """How far each margin is taken back, 0 to 1: the cheapest to lose goes first."""

    lean: float

    @property
    def hold(self) -> float:
        """Of the time that scale-down waits, and of the haste to grow."""
        return clamp(self.lean / 0.35)

    @property
    def noise(self) -> float:
        """Of the margin for chance, and of the KV cache's."""
        return clamp((self.lean - 0.35) / 0.30)

    @property
    def peak(self) -> float:
        """Of the way from the highest load down to a quantile of it."""
        return clamp((self.lean - 0.65) / 0.35)


class Budget:
    """The account, in bins of a minute, and the dial that it moves."""

    def __init__(self, settings: Settings, learned: Learned) -> None:
        self._allowed = settings.allowed_late
        self._answers = Answers(WINDOW)
        self._before = (learned.answered, learned.late, learned.seconds)
        self.dial = Dial(0.0)

    def take(self, seconds: float, answered: float, late: float, waiting_late: float, lead: float) -> None:
        """Take in a look: first tokens, the late ones of them, requests that are late already while they wait."""
        self._answers.take(seconds, answered, late)
        offer = self._offer(waiting_late, lead)
        lean = self.dial.lean
        self.dial = Dial(offer if offer < lean else min(offer, lean + SLOWEST * seconds))

    def account(self) -> tuple[float, float, float]:
        """First tokens, late ones, seconds: what a restart carries on with."""
        now = self._answers
        known = min(now.minutes, WINDOW)
        kept = 1 - known / WINDOW  # what was before the restart leaves the window bit by bit
        answered, late, seconds = (value * kept for value in self._before)
        whole, whole_late = now.over(WINDOW)
        return (
            answered + whole + now.answered,
            late + whole_late + now.late,
            seconds + known * MINUTE + now.seconds,
        )

    def _offer(self, waiting_late: float, lead: float) -> float:
        """What the dial may be at: the least of three accounts."""
        answered, late, seconds = self.account()
        answered, late = answered + waiting_late, late + waiting_late
        if answered < ENOUGH or seconds < MINUTE:
            return 0.0
        allowed = self._allowed * answered
        left = allowed - late
        reserve = left / (answered / seconds)  # seconds of traffic that could be missed altogether
        if self._burn(5, waiting_late) > 4 and left < 0.7 * allowed and self._answers.over(5)[0] > 50:
            return 0.0
        return clamp(
            min(
                (reserve - 0.3 * lead) / (0.4 * lead),
                (left / allowed - 0.10) / 0.25,
                (3 - self._burn(HOUR, waiting_late)) / 1.5,
            )
        )

    def _burn(self, minutes: int, waiting_late: float) -> float:
        """How many times faster than allowed the budget went in the last minutes."""
        whole, whole_late = self._answers.over(minutes)
        answered = whole + self._answers.answered + waiting_late
        late = whole_late + self._answers.late + waiting_late
        return late / answered / self._allowed if answered > 0 else 0.0
