"""What a simulated fleet is set up with, besides its requests and its engine."""

from dataclasses import dataclass
from typing import Literal

from .faults import Fault

Router = Literal["early", "late"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds."""

    router: Router = "early"
    """early: a request is bound at its arrival to the ready pod with the least outstanding tokens.
    late: it waits in a gateway until a pod can start it; see docs/simulator.md."""
    replicas: int = 1
    """Ready at the start, without booting."""
    quota: int = 64
    """GPUs, one for each pod that is not gone. Pods above it stay pending, and cost nothing."""
    start_p50: float = 110.0
    """From a pod's GPU to its first answer: lognormal with this median"""
    start_p90: float = 180.0
    """and this 90th percentile. Equal values make it constant."""
    drain_timeout: float = 300.0
    """After it the requests that still run on a draining pod fail."""
    put_back: bool = False
    """Whether scaling up takes draining pods back first. Kubernetes cannot: a pod that is being deleted stays so."""
    ttft_objective: float = 2.0
    """Late first tokens are those after it; the late router demotes requests older than .65 of it."""
    itl_objective: float = 0.05
    """Late tokens are those whose gap to the token before exceeds it."""
    faults: tuple[Fault, ...] = ()
    event_skipping: bool = True
    """Whether runs of steps that only decode are computed at once; off only to show that the results are the same."""
