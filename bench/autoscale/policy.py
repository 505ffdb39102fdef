"""What every policy in the comparison sees and answers."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slmfleet.core.autoscale.signals import Signals

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Look:
    """What the fleet shows once a second, `lag` seconds old as the policy's own way of measuring has it.

    Arrays have one element per ready pod that could be read, in the same order.
    """

    signals: Signals
    running: Floats
    waiting: Floats
    kv_usage: Floats
    """0 to 1."""
    kv_capacity: Floats
    """Tokens."""
    arrived: float
    """Requests that clients sent in the last second (a router in front of the fleet can count them)."""
    in_flight: float
    """Requests that clients have sent and that are not answered yet, wherever they wait."""


class Policy(Protocol):
    """One autoscaler."""

    name: str
    period: float
    """Seconds between two decisions."""
    lag: float
    """Seconds that what it sees is old."""

    def look(self, look: Look) -> None:
        """Take in what a second has brought."""

    def desired(self, now: float, current: int, ready: int) -> int:
        """How many replicas there should be, `current` being asked for and `ready` of them taking traffic."""
