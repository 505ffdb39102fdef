"""Open loads of mixed lengths, through the engine and through the model."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.autoscale.fleet.requests import Floats, Requests

from . import client, cores
from .controls import Fitted
from .engine import Engine
from .replay import Replayed, replay

SHARES: Final = {"low": 0.3, "middle": 0.6, "near saturation": 0.9}
"""Of the requests per second that the model says the engine can take."""
SECONDS: Final = 20.0
PROMPT: Final = (150, 0.9, 16, 1500)
OUTPUT: Final = (40, 0.7, 4, 200)
"""Tokens: the median and the sigma of a lognormal, and its bounds."""
_SAMPLE: Final = 400


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What users see of a load; times in seconds."""

    tokens_per_second: float
    ttft_mean: float
    ttft_p50: float
    ttft_p95: float
    itl_mean: float
    itl_p95: float


@dataclass(frozen=True, slots=True)
class Run:
    """One load, once."""

    real: Behaviour
    model: Behaviour
    steps: tuple[float, int]
    """Of the engine and of the model."""
    preemptions: float
    merged: float
    """Share of the tokens that arrived together with the one before."""
    disturbance: cores.Disturbance
    load_average: float


def runs(
    engine: Engine,
    fitted: Fitted,
    loads: Mapping[str, Requests],
    repeat: int,
    deadline: float,
    tell: Callable[[str], None],
) -> dict[str, list[Run]]:
    """Run every load `repeat` times in turns while the machine is quiet; after the deadline in any case.

    All runs, the least disturbed first.
    """
    done: dict[str, list[Run]] = {name: [] for name in loads}

    def enough(name: str) -> bool:
        late = time.monotonic() >= deadline
        return sum(late or one.disturbance.quiet for one in done[name]) >= repeat

    while due := [name for name in loads if not enough(name)]:
        cores.settle(engine.pid, deadline)
        name = min(due, key=lambda name: len(done[name]))
        done[name].append(run(engine, fitted, loads[name], len(done[name])))
        tell(f"{name}: {done[name][-1]}")
    return {name: sorted(of, key=lambda one: one.disturbance.others) for name, of in done.items()}


def capacity(engine: Engine, fitted: Fitted, seed: int) -> float:
    """Requests per second that the model of the engine can take."""
    requests = drawn(1e9, _SAMPLE, seed)
    return _SAMPLE / float(max(times[-1] for times in replay(engine.model(fitted.step), requests).tokens))


def drawn(rate: float, count: int, seed: int) -> Requests:
    """Poisson arrivals, so many per second."""
    rng = np.random.default_rng(seed)
    arrival = np.cumsum(rng.exponential(1.0 / rate, count))
    prompt, output = (
        np.clip(np.rint(median * np.exp(sigma * rng.standard_normal(count))), least, most).astype(np.int64)
        for median, sigma, least, most in (PROMPT, OUTPUT)
    )
    return Requests(arrival, prompt, output)


def run(engine: Engine, fitted: Fitted, requests: Requests, seed: int) -> Run:
    """Send a load, and give the model the same requests at the times at which they were sent."""
    before, began = engine.totals(), cores.usage(engine.pid)
    answers = asyncio.run(client.answers(engine.port, requests, seed))
    disturbance = cores.usage(engine.pid).since(began)
    totals = engine.totals_since(before, len(answers))
    sent = np.array([answer.sent for answer in answers])
    arrived = [np.array(answer.times) for answer in answers]
    tokens = int(requests.output.sum())
    played, model = modelled(engine, fitted, sent, requests)
    return Run(
        real=_behaviour(sent, arrived, tokens, totals.gap / totals.gaps),
        model=model,
        steps=(totals.steps, played.steps),
        preemptions=totals.preemptions,
        merged=1.0 - sum(map(len, arrived)) / tokens,
        disturbance=disturbance,
        load_average=cores.load_average(),
    )


def modelled(engine: Engine, fitted: Fitted, sent: Floats, requests: Requests) -> tuple[Replayed, Behaviour]:
    """What the model says; what happens outside of the steps comes before them."""
    at = sent + fitted.per_request + fitted.per_token * requests.prompt
    order = np.argsort(at, kind="stable")
    played = replay(engine.model(fitted.step), Requests(at[order], requests.prompt[order], requests.output[order]))
    tokens = list(played.tokens)
    return played, _behaviour(sent[order], tokens, int(requests.output.sum()), float(played.gaps.mean()))


def _behaviour(sent: Floats, arrived: list[Floats], tokens: int, itl_mean: float) -> Behaviour:
    ttft = np.array([times[0] for times in arrived]) - sent
    gaps = np.concatenate([np.diff(times) for times in arrived])
    return Behaviour(
        tokens_per_second=float(tokens / (max(times[-1] for times in arrived) - sent.min())),
        ttft_mean=float(ttft.mean()),
        ttft_p50=float(np.percentile(ttft, 50)),
        ttft_p95=float(np.percentile(ttft, 95)),
        itl_mean=itl_mean,
        itl_p95=float(np.percentile(gaps, 95)),
    )
