"""What can go wrong in a simulated fleet. Every fault has a window in simulated seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScrapeOutage:
    """A share of the pods (0 to 1, drawn per pod) cannot be read; requests are not affected."""

    start: float
    end: float
    share: float


@dataclass(frozen=True, slots=True)
class Quota:
    """No more than so many pods get a GPU (Settings.quota holds outside the window); running pods stay."""

    start: float
    end: float
    pods: int


@dataclass(frozen=True, slots=True)
class CrashLoop:
    """The first `pods` pods that are created in the window never get ready: each start ends in a crash.

    They keep their GPU. At the window's end the next start succeeds.
    """

    start: float
    end: float
    pods: int = 1


@dataclass(frozen=True, slots=True)
class SlowStart:
    """Pods created in the window take `factor` times as long to start; nobody is told."""

    start: float
    end: float
    factor: float = 3.0


@dataclass(frozen=True, slots=True)
class Hang:
    """The ready pod with the most running requests stops at `start`: it stays ready, takes requests, answers none.

    At `end` it is replaced: its requests fail, and a new pod starts.
    """

    start: float
    end: float


Fault = ScrapeOutage | Quota | CrashLoop | SlowStart | Hang
