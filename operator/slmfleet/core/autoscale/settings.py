"""What a fleet's decisions are made with: what the user asks for, what is known of the engine, what was learned."""

from dataclasses import dataclass

from slmfleet.engine.steptime import StepTime

STAND_IN_TTFT = 5.0
"""Seconds that stand in for a TTFT objective that nobody gave: what a person at a chat still waits through."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What stays the same between two decisions about a fleet."""

    ttft_objective: float | None = None
    """Seconds to the first token; STAND_IN_TTFT where nobody gave any."""
    itl_objective: float | None = None
    """Seconds between two tokens; None: they may take what a full batch takes."""
    queue_depth: float | None = None
    """Requests that may wait for each replica."""
    kv_target: float = 0.95
    """The share of the KV cache that may be full."""
    step_time: StepTime | None = None
    """What is known before anything is measured; None where the accelerator is unknown."""
    max_num_seqs: int = 256
    holds_back: bool = False
    """A gateway holds requests back and serves those first that can still be in time: allowed misses may be spent."""
    allowed_late: float = 0.05
    """Share of first tokens that may miss the objective: what is beyond a p95."""
    settle: float = 240.0
    """Seconds after the first look in which no replica goes: what the load was before is not known."""
    idle_after: float | None = None
    """Seconds without a request after which the fleet goes to zero, where its floor allows that; None: it stays."""

    @property
    def ttft(self) -> float:
        """Seconds to the first token that decisions aim at."""
        return STAND_IN_TTFT if self.ttft_objective is None else self.ttft_objective


@dataclass(frozen=True, slots=True)
class Learned:
    """What a restart of the operator must not lose. Rounded: it goes into the status of the fleet.

    None and 0 stand for what is not known yet.
    """

    capacity: float = 1.0
    """Work that a replica does, as a share of what the step times promise."""
    speed: float = 1.0
    """How much longer a step takes than the step times say."""
    output_tokens: float | None = None
    """Of a request, on average."""
    prompt_tokens: float | None = None
    """Of a request that had to be prefilled, on average."""
    context_tokens: float | None = None
    """In the KV cache for each running request, on average."""
    kv_capacity: float | None = None
    """Tokens that one replica's KV cache holds."""
    answered: float = 0.0
    """First tokens that the error budget counts."""
    late: float = 0.0
    """Those that missed the objective."""
    seconds: float = 0.0
    """How long the error budget has counted."""
