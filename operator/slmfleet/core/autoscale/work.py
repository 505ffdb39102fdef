"""How much work the requests are that come to a fleet, in seconds of one replica.

A request costs its prompt's prefill and, for each token that it generates, its share of a step. The share is that of a
batch as large as it can get: the KV cache, the engine's limit on sequences and the objective for the gaps between
tokens bound it. All of it comes from what vLLM counts over everybody; no request is looked at on its own.
"""

from dataclasses import dataclass
from enum import IntEnum, auto

from slmfleet.core.autoscale.history import Totals
from slmfleet.core.autoscale.settings import Learned, Settings
from slmfleet.core.autoscale.signals import Signals
from slmfleet.engine.steptime import StepTime

WINDOW = 180
"""Seconds over which means of requests are taken."""
ENOUGH = 20
"""Requests that a mean needs before it replaces the one before."""
UNKNOWN_OUTPUT = 200.0
UNKNOWN_PROMPT = 1000.0
"""Tokens of a request before any was seen: those of people's chats (Azure 2023: 211 and 1,155)."""
GENERIC = StepTime(a=0.010, p=70e-6, d=45e-6, kappa=0.08e-6)
"""Near an 8 B model on an A100, where the accelerator is not known. What counts is the ratio of the terms: `speed`
is measured."""
SPEEDS = (0.1, 20.0)
"""Bounds of a measured speed: from ten times as fast as GENERIC to a CPU."""
SPEED_RATE = 0.05
"""Share of a difference that one look takes over."""
FULL = 0.9
"""The share of the KV cache that a full batch takes."""


class Field(IntEnum):
    """What is added up for each second."""

    ARRIVED = 0
    ARRIVED_TOKENS = auto()
    FIRST = auto()
    PROMPT = auto()
    CACHED = auto()
    FINISHED = auto()
    FINISHED_TOKENS = auto()
    GENERATED = auto()
    RUNNING = auto()
    KV = auto()
    REPLICAS = auto()
    WORK = auto()
    SERVED = auto()


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came to the fleet between two looks: all of it, pods that could not be read included."""

    requests: float
    tokens: float
    """Of their prompts, without what the prefix cache has."""


class WorkModel:
    """Means of the fleet's requests, and what they cost."""

    def __init__(self, settings: Settings, learned: Learned) -> None:
        self.settings = settings
        self.speed = learned.speed
        """How much longer a step takes than the prior says."""
        self._prior = settings.step_time or GENERIC
        self.step = _slower(self._prior, self.speed)
        self.output = learned.output_tokens or UNKNOWN_OUTPUT
        self.prompt = learned.prompt_tokens or UNKNOWN_PROMPT
        """Tokens to prefill for each request, without what the prefix cache has."""
        self.context = learned.context_tokens or self.prompt + self.output / 2
        self.kv_capacity = learned.kv_capacity or 0.0
        """Tokens of one replica; 0 while unknown."""
        self.cached = 0.0
        """Share of the prompts' tokens that the prefix cache has."""
        self._waiting: float | None = None

    def take(self, signals: Signals, totals: Totals) -> None:
        """Bring the means up to date."""
        finished = totals.over(Field.FINISHED, WINDOW)
        if finished >= ENOUGH:
            self.output = max(1.0, totals.over(Field.FINISHED_TOKENS, WINDOW) / finished)
        first = totals.over(Field.FIRST, WINDOW)
        if first >= ENOUGH:
            prompt, cached = totals.over(Field.PROMPT, WINDOW), totals.over(Field.CACHED, WINDOW)
            self.cached = min(1.0, max(0.0, cached / prompt)) if prompt > 0 else 0.0
            self.prompt = max(1.0, (prompt - cached) / first)
        running = totals.over(Field.RUNNING, WINDOW)
        if running >= ENOUGH:
            self.context = max(1.0, totals.over(Field.KV, WINDOW) / running)
        if signals.reporting and signals.kv_capacity > 0:
            self.kv_capacity = signals.kv_capacity / signals.reporting
        self.measure(totals)

    def measure(self, totals: Totals) -> None:
        """Learn how long steps take: each running sequence gets one token from each.

        Also where the accelerator is known: prompts that wait for their chunks inside the engine lengthen what is
        measured, and that is what a load of long prompts needs in reserve.

        A step of s seconds is speed x (a + d x running + kappa x KV tokens + p x what is prefilled in s seconds).
        """
        replicas, generated = totals.over(Field.REPLICAS, WINDOW), totals.over(Field.GENERATED, WINDOW)
        running = totals.over(Field.RUNNING, WINDOW)
        if generated < 1 or running < replicas:  # below one sequence at a time the engines' idle time would count
            return
        seconds = running / generated
        prefilled = totals.over(Field.PROMPT, WINDOW) - totals.over(Field.CACHED, WINDOW)
        step = self._prior
        load = (step.d * running + step.kappa * totals.over(Field.KV, WINDOW) + step.p * prefilled * seconds) / replicas
        speed = min(SPEEDS[1], max(SPEEDS[0], seconds / (step.a + load)))
        self.speed += SPEED_RATE * (speed - self.speed)
        self.step = _slower(step, self.speed)

    def arrivals(self, signals: Signals) -> Arrivals:
        """What came since the look before.

        A gateway counts it. Without one it is what got its first token and what the queues grew by; while pods are
        missing from the looks their queues say nothing.
        """
        scale = coverage(signals)
        if signals.gateway is not None:
            tokens = signals.gateway.arrived_prompt_tokens * (1 - self.cached)
            return Arrivals(signals.gateway.arrived, tokens)
        grown = 0.0
        if signals.reporting < signals.ready:
            self._waiting = None
        else:
            grown = 0.0 if self._waiting is None else signals.waiting - self._waiting
            self._waiting = signals.waiting
        prefilled = max(0.0, signals.prompt_tokens - signals.cached_prompt_tokens)
        requests = signals.first_tokens * scale + grown
        return Arrivals(requests, prefilled * scale + grown * self.prompt)

    def queued_tokens(self, signals: Signals) -> float:
        """Prompt tokens that wait to be prefilled, in engines and in front of them."""
        in_engines = signals.waiting * coverage(signals) * self.prompt
        if signals.gateway is None:
            return in_engines
        return in_engines + signals.gateway.prompt_tokens * (1 - self.cached)

    @property
    def batch(self) -> float:
        """Sequences that one replica decodes together when it is as busy as it may be."""
        step, settings = self.step, self.settings
        most = float(settings.max_num_seqs)
        if self.kv_capacity > 0:
            most = min(most, FULL * self.kv_capacity / self.context)
        if settings.itl_objective is not None:
            most = min(most, (settings.itl_objective - step.a) / (step.d + step.kappa * self.context))
        return max(1.0, most)

    @property
    def decode(self) -> float:
        """Seconds of a replica for one generated token in a full batch."""
        return self.step.a / self.batch + self.step.d + self.step.kappa * self.context

    def work(self, arrivals: Arrivals) -> float:
        """Seconds of a replica."""
        return self.step.p * arrivals.tokens + arrivals.requests * self.output * self.decode

    def served(self, signals: Signals) -> float:
        """Seconds of a replica that the fleet has worked off since the look before."""
        prefilled = max(0.0, signals.prompt_tokens - signals.cached_prompt_tokens)
        return self.step.p * prefilled + signals.generated_tokens * self.decode


def _slower(step: StepTime, factor: float) -> StepTime:
    """All terms by that much."""
    return StepTime(step.a * factor, step.p * factor, step.d * factor, step.kappa * factor)


def coverage(signals: Signals) -> float:
    """What sums over the pods that could be read are multiplied with to stand for all that take traffic."""
    return signals.ready / signals.reporting if 0 < signals.reporting < signals.ready else 1.0
