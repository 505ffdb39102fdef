"""Controlled loads: prefills one at a time, and batches that decode, each measured until it was quiet often enough.

A time that the engine measures is a sum of steps, and a step's length is linear in the four coefficients. So what the
model says of the same load with one coefficient 1 and the others 0 is that coefficient's share of the time: no load
needs to consist of one kind of step.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Final

import numpy as np

from bench.autoscale.fleet.requests import Floats, Requests
from slmfleet.engine.steptime import StepTime

from . import client, cores
from .engine import Engine
from .fit import fit
from .replay import replay

TERMS: Final = tuple(field.name for field in fields(StepTime))
WANTED: Final = 3
"""Measurements per load, the quietest of its."""
PROMPTS: Final = (16, 64, 128, 256, 400, 512, 1024, 1536)
PREFILLS: Final = 6
"""One after the other, per measurement."""
BATCHES: Final = (1, 2, 4, 8, 16)
CONTEXTS: Final = (32, 400, 1200)
OUTPUT: Final = 64


@dataclass(frozen=True, slots=True)
class Control:
    """`batch` requests at once, `repeat` times one after the other."""

    prompt: int
    batch: int = 1
    output: int = 1
    repeat: int = 1

    @property
    def requests(self) -> Requests:
        """One round of it."""
        ones = np.ones(self.batch, dtype=np.int64)
        return Requests(np.zeros(self.batch), self.prompt * ones, self.output * ones)

    @property
    def name(self) -> str:
        """For people."""
        if self.output == 1:
            return f"prefill of {self.prompt}"
        return f"{self.batch} x {self.prompt} + {self.output}"


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of a load."""

    seconds: float
    """Mean time of a prefill, or between two tokens."""
    outside: float
    """Mean seconds from sending a request to its first token that the engine did not see."""
    steps: float
    disturbance: cores.Disturbance


@dataclass(slots=True)
class Series:
    """All measurements of one load."""

    control: Control
    measured: list[Measured] = field(default_factory=list)

    @property
    def quietest(self) -> list[Measured]:
        """Those that count."""
        return sorted(self.measured, key=lambda one: one.disturbance.others)[:WANTED]

    @property
    def done(self) -> bool:
        """Whether all that count were undisturbed."""
        return len(self.measured) >= WANTED and self.quietest[-1].disturbance.quiet

    def median(self, value: Callable[[Measured], float]) -> float:
        """Over those that count."""
        return statistics.median(value(one) for one in self.quietest)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What the loads say together."""

    step: StepTime
    errors: Floats
    """Per series: (model - measured) / measured."""
    per_request: float
    """Seconds outside of steps between a request and its first token: HTTP, two hops between processes, the reply."""
    per_token: float
    """Those per token of its prompt: parsing, the tokenizer."""


def controls() -> list[Control]:
    """The loads, short ones first."""
    prefills = [Control(prompt, repeat=PREFILLS) for prompt in PROMPTS]
    return prefills + [Control(prompt, batch, OUTPUT) for batch in BATCHES for prompt in CONTEXTS]


def measure(engine: Engine, deadline: float, tell: Callable[[str], None]) -> list[Series]:
    """Measure every load WANTED times while the machine is quiet; after the deadline (time.monotonic()) in any case."""
    series = [Series(control) for control in controls()]
    while due := [one for one in series if not one.done]:
        if time.monotonic() >= deadline:
            due = [one for one in due if len(one.measured) < WANTED]
        if not due:
            break
        cores.settle(engine.pid, deadline)
        one = min(due, key=lambda one: len(one.measured))
        one.measured.append(_measured(engine, one.control, sum(len(one.measured) for one in series)))
        tell(f"{one.control.name}: {one.measured[-1].seconds * 1e3:.2f} ms, {one.measured[-1].disturbance}")
    return series


def fitted(engine: Engine, series: Sequence[Series]) -> Fitted:
    """The coefficients that fit the loads."""
    rows = np.array([_terms(engine, one.control) for one in series])
    seconds = np.array([one.median(lambda measured: measured.seconds) for one in series])
    found = fit(rows, seconds)
    alone = [one for one in series if one.control.output == 1]
    outside = np.array([one.median(lambda measured: measured.outside) for one in alone])
    per_request, per_token = fit(np.array([[1.0, one.control.prompt] for one in alone]), outside)
    return Fitted(StepTime(*map(float, found)), rows @ found / seconds - 1.0, float(per_request), float(per_token))


def _measured(engine: Engine, control: Control, seed: int) -> Measured:
    before, began = engine.totals(), cores.usage(engine.pid)
    answers = [
        answer
        for turn in range(control.repeat)
        for answer in asyncio.run(client.answers(engine.port, control.requests, seed * 1000 + turn))
    ]
    disturbance = cores.usage(engine.pid).since(began)
    totals = engine.totals_since(before, len(answers))
    inside = (totals.queue + totals.prefill) / len(answers)
    return Measured(
        seconds=totals.prefill / len(answers) if control.output == 1 else totals.gap / totals.gaps,
        outside=statistics.fmean(answer.ttft for answer in answers) - inside,
        steps=totals.steps / control.repeat,
        disturbance=disturbance,
    )


def _terms(engine: Engine, control: Control) -> list[float]:
    """What a second of each coefficient adds to the load's time."""
    played = [replay(engine.model(StepTime(**_unit(name))), control.requests) for name in TERMS]
    return [float(one.first[0] if control.output == 1 else one.gaps.mean()) for one in played]


def _unit(name: str) -> dict[str, float]:
    return {term: float(term == name) for term in TERMS}
