"""A planner like NVIDIA Dynamo's, throughput-based, for engines that do prefill and decode.

Source: ai-dynamo/dynamo components/src/dynamo/planner: core/throughput_scaling.py (_throughput_agg),
core/perf_model/agg.py (find_best_engine_agg_rps), core/load/predictors.py, config/defaults.py: every 180 s, predictor
arima, replicas = ceil(predicted requests/s / the engine's best requests/s at which TTFT and ITL keep their targets),
mean lengths. Its performance model comes from profiling the engine: here it gets the step times themselves. Its
auto-ARIMA is stood in for by the best of four small models by AIC; below five intervals it takes the last value, as
there. Like there the targets are the user's: those of the comparison.
"""

import math
from dataclasses import dataclass

import numpy as np

from bench.autoscale.policy import Floats, Look
from slmfleet.engine.steptime import StepTime

MINIMUM_POINTS = 5


@dataclass(frozen=True, slots=True)
class Engine:
    """What profiling has told of an engine, and its limits."""

    step: StepTime
    kv_tokens: float
    max_num_seqs: int = 256
    batched_tokens: int = 2048


def best_rps(engine: Engine, isl: float, osl: float, ttft: float, itl: float) -> float:
    """The highest rate at which one engine keeps both targets; at a batch of one where it cannot."""
    context = isl + osl / 2
    cap = min(max(1, int(engine.kv_tokens / max(1.0, context))), engine.max_num_seqs, engine.batched_tokens - 1)
    balanced = int(osl * engine.batched_tokens / (isl + osl))
    best = 0.0
    for batch in range(1, max(1, min(cap, balanced)) + 1):
        prefill = min(batch * isl / max(1.0, osl), engine.batched_tokens)
        step = _step(engine, prefill, batch, context)
        if step > itl or _ttft(engine, prefill + isl, batch, context) > ttft:
            return best or 1 / (osl * step)
        best = batch / (osl * step)
    return best


def _step(engine: Engine, prefill: float, batch: int, context: float) -> float:
    s = engine.step
    return s.a + s.p * prefill + (s.d + s.kappa * context) * batch


def _ttft(engine: Engine, tokens: float, batch: int, context: float) -> float:
    whole, rest = divmod(tokens, engine.batched_tokens)
    time = whole * _step(engine, engine.batched_tokens, batch, context)
    return float(time + (_step(engine, rest, batch, context) if rest else 0.0))


def forecast(values: list[float]) -> float:
    """The next value: the best by AIC of a mean, a random walk, AR(1) and AR(1) of the differences."""
    y = np.array(values)
    if len(y) < MINIMUM_POINTS or np.ptp(y) == 0:
        return float(y[-1])
    steps = np.diff(y)
    fits = [
        (y[1:] - y.mean(), 1, float(y.mean())),
        (steps, 0, float(y[-1])),
        _autoregression(y),
    ]
    if len(steps) >= MINIMUM_POINTS:
        errors, parameters, change = _autoregression(steps)
        fits.append((errors, parameters, float(y[-1]) + change))
    scale = max(float(y.var()), 1e-12)

    def aic(fit: tuple[Floats, int, float]) -> float:
        errors, parameters, _ = fit
        return math.log(float((errors**2).mean()) / scale + 1e-9) + 2 * parameters / len(errors)

    return max(0.0, min(fits, key=aic)[2])


def _autoregression(y: Floats) -> tuple[Floats, int, float]:
    """Errors, number of parameters and forecast of y[t] = c + phi y[t-1] by least squares."""
    before, after = y[:-1], y[1:]
    spread = float(((before - before.mean()) ** 2).sum())
    phi = float(((before - before.mean()) * (after - after.mean())).sum()) / spread if spread > 0 else 0.0
    phi = min(max(phi, -0.99), 0.99)
    constant = float(after.mean()) - phi * float(before.mean())
    return after - constant - phi * before, 2, constant + phi * float(y[-1])


class Dynamo:
    """The planner's loop."""

    name = "dynamo-like"
    lag = 15.0

    def __init__(
        self,
        engine: Engine,
        ttft: float,
        itl: float,
        interval: float = 180.0,
        predictor: str = "arima",
        headroom: float = 1.0,
    ) -> None:
        self.period = interval
        self._engine, self._ttft, self._itl = engine, ttft, itl
        self._arima = predictor == "arima"
        self._headroom = headroom
        self._history: tuple[list[float], list[float], list[float]] = ([], [], [])
        self._sums = np.zeros(5)

    def look(self, look: Look) -> None:
        """Sum up requests and lengths of the interval."""
        s = look.signals
        self._sums += (look.arrived, s.prompt_tokens, s.first_tokens, s.finished_generated_tokens, s.finished)

    def desired(self, now: float, current: int, ready: int) -> int:  # noqa: ARG002 - it looks at traffic alone
        """Predicted demand over the engine's best rate."""
        arrived, prompt, started, output, finished = (float(value) for value in self._sums)
        self._sums[:] = 0
        if not (arrived and started and finished):
            return current
        for values, value in zip(self._history, (arrived, prompt / started, output / finished), strict=True):
            values.append(value)
        guess = forecast if self._arima else (lambda values: values[-1])
        requests, isl, osl = (guess(values) for values in self._history)
        rate = best_rps(self._engine, max(1.0, isl), max(1.0, osl), self._ttft, self._itl)
        return max(1, math.ceil(requests / self.period * self._headroom / rate))
