"""A constant number of replicas, and a given schedule."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.autoscale.policy import Look


class Schedule:
    """Replicas given for every moment: a constant fleet, or an oracle's plan."""

    lag = 1.0

    def __init__(self, name: str, replicas: Sequence[int] | NDArray[np.int64], period: float = 1.0) -> None:
        self.name = name
        self.period = period
        self._replicas = np.asarray(replicas, np.int64)

    def look(self, look: Look) -> None:
        """It looks at nothing."""

    def desired(self, now: float, current: int, ready: int) -> int:  # noqa: ARG002 - the plan is all it has
        """The plan's number for this moment, and its last one after its end."""
        return int(self._replicas[min(int(now / self.period), len(self._replicas) - 1)])


def static(replicas: int) -> Schedule:
    """The same number for ever."""
    return Schedule(f"static-{replicas}", [replicas])
