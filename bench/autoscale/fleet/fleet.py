"""The fleet on its virtual clock."""

from bench.autoscale.policy import Look
from slmfleet.simulator.scheduler import EngineModel

from .requests import Requests, Results
from .settings import Settings


class Fleet:
    """Pods of one model behind one router."""

    def __init__(self, requests: Requests, engine: EngineModel, settings: Settings, seed: int = 0) -> None:
        """Deterministic in its arguments; the n-th pod's start time depends on the seed and n alone."""
        raise NotImplementedError

    now: float
    """Simulated seconds."""
    asked: int
    """Replicas asked for: pods that are not draining."""
    ready: int
    """Pods that take new requests."""
    done: bool
    """Whether every request has ended."""
    unschedulable: int
    """Pods that wait for a GPU beyond the quota."""

    def advance(self, to: float) -> None:
        """Let the clock run to a second."""
        raise NotImplementedError

    def scale(self, desired: int) -> None:
        """Ask for so many replicas: new pods, or fewer: pending first, then booting, then the fewest running."""
        raise NotImplementedError

    def look(self, lag: float = 0.0) -> Look:
        """What the fleet showed `lag` seconds ago (whole seconds; to be called once every simulated second)."""
        raise NotImplementedError

    def results(self) -> Results:
        """What has happened so far."""
        raise NotImplementedError
