"""What is decided about a fleet's replicas, within which bounds, and what is said about it."""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down", "hold"]


@dataclass(frozen=True, slots=True)
class Bound:
    """Something that keeps the number of replicas at or above, or at or below, a number."""

    replicas: int
    why: str
    """For people, such as "spec.scaling.maxReplicas" or "schedule office-hours"."""
    reason: str = ""
    """Stable word, such as AtMaximum; empty for a bound that is nobody's trouble."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What surrounds a decision besides the load."""

    now: float
    """Seconds on the clock of the signals."""
    current: int
    """Replicas that are asked for at present."""
    floor: Bound
    """The highest of: minReplicas, a schedule's floor."""
    ceiling: Bound
    """The lowest of: maxReplicas, a quota, nodes that do not exist."""
    lead_p50: float
    lead_p90: float
    """Seconds from a new replica's creation to its first answer, from the cold-start ledger."""
    rolling_out: bool
    """Pods are being replaced: nothing is taken away."""
    wake: int = 0
    """Requests that wait for a fleet without replicas; whoever only says "wake up" counts as one."""


@dataclass(frozen=True, slots=True)
class Need:
    """How many replicas one consideration asks for."""

    name: str
    """Stable word, such as work, kvCache, queue, drain."""
    replicas: float
    formula: str
    """With its numbers, for people."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas there should be, and why."""

    desired: int
    reason: str
    """Stable word: the need or the bound that decides."""
    message: str
    """For people: the formula with its numbers."""
    needs: tuple[Need, ...]
    bound: Bound | None
    """What keeps `desired` from what the load asks for; None where nothing does."""
