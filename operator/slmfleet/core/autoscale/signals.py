"""What a fleet's engines tell about its load: the input of every decision about replicas.

One Signals is one look at the whole fleet. Gauges are sums over the engines that could be read at that look, amounts
are what was added to their counters since the look before. Who could not be read is missing, never zero: `reporting`
tells.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gateway:
    """Requests that wait in front of the fleet, where a gateway holds them back instead of queueing them in engines."""

    requests: float
    prompt_tokens: float
    oldest: float
    """Seconds that the first of them has waited."""
    arrived: float
    """Requests that came since the look before."""
    arrived_prompt_tokens: float


@dataclass(frozen=True, slots=True)
class Signals:
    """One look at a fleet."""

    at: float
    """Seconds on the caller's clock."""
    seconds: float
    """Since the look before; the amounts below belong to them. 0 for the first look: there are no amounts yet."""
    ready: int
    """Pods that get traffic."""
    reporting: int
    """Those of them that this look could read; gauges and amounts are theirs."""
    pending: int
    """Pods on their way to ready that still count: none that is broken or long overdue."""
    # Gauges, summed over the reporting pods.
    running: float
    waiting: float
    kv_tokens: float
    """Tokens that the KV cache holds."""
    kv_capacity: float
    """Tokens that it could hold."""
    max_kv_usage: float
    """The fullest pod's share, 0 to 1."""
    max_waiting: float
    """The longest queue of one pod."""
    # Amounts since the look before, summed over the pods that are `measured`.
    first_tokens: float
    """Requests whose prefill ended."""
    late_first_tokens: float
    """Those of them whose time to first token missed the objective (or the budget that stands in for one)."""
    prompt_tokens: float
    """Of the requests whose prefill ended, hits in the prefix cache included."""
    cached_prompt_tokens: float
    """Those found in the prefix cache."""
    generated_tokens: float
    finished: float
    """Requests that ended."""
    finished_generated_tokens: float
    """What the ended requests had generated."""
    late_tokens: float
    """Gaps between two tokens of a request that missed the objective."""
    token_gaps: float
    """All gaps between two tokens of a request."""
    preemptions: float
    gateway: Gateway | None = None
    measured: int | None = None
    """Those of the reporting pods whose amounts are known: not one that is seen for the first time. None: all."""
    hung: int = 0
    """Those of the reporting pods whose engine stands still while requests run: they serve nothing."""
