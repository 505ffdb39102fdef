"""Made workloads: what traces do not have, or not often enough.

Arrivals are a Poisson process with a given rate over time, lengths are drawn in pairs from a trace.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from bench.autoscale.workload import Floats, Workload

MINUTE: Final = 60.0


def poisson(name: str, rate: Callable[[Floats], Floats], duration: float, lengths: Workload, seed: int) -> Workload:
    """Requests at `rate(t)` per second, t in seconds, each with the lengths of a random request of `lengths`."""
    rng = np.random.default_rng([seed, 3])
    ticks = np.arange(0.0, duration, 0.5)
    highest = float(rate(ticks).max())
    count = int(rng.poisson(highest * duration))
    times = np.sort(rng.uniform(0, duration, count))
    times = times[rng.random(count) * highest < rate(times)]
    pick = rng.integers(0, len(lengths), len(times))
    return Workload(name, times, lengths.prompt[pick], lengths.output[pick], duration, sampled=True)


def flat(lengths: Workload, rate: float, seed: int, *, minutes: float = 60) -> Workload:
    """A constant rate."""
    return poisson("flat", lambda t: np.full_like(t, rate), minutes * MINUTE, lengths, seed)


def step(lengths: Workload, rate: float, seed: int, *, factor: float = 5.0) -> Workload:
    """20 minutes at `rate`, 25 at `factor` times that, 30 at `rate`."""
    up, down, end = 20 * MINUTE, 45 * MINUTE, 75 * MINUTE
    load = poisson("step", lambda t: rate * np.where((t >= up) & (t < down), factor, 1.0), end, lengths, seed)
    return replace(load, steps=(up,))


def burst(lengths: Workload, rate: float, seed: int, *, factor: float = 8.0) -> Workload:
    """90 minutes at `rate` with six bursts of `factor` times that, half a minute to two minutes long."""
    rng = np.random.default_rng([seed, 4])
    starts = (10 + 13 * np.arange(6) + rng.uniform(0, 9, 6)) * MINUTE
    lasts = rng.uniform(0.5, 2.0, 6) * MINUTE

    def shape(t: Floats) -> Floats:
        inside = ((t[:, None] >= starts) & (t[:, None] < starts + lasts)).any(axis=1)
        return np.where(inside, factor * rate, rate)

    return replace(poisson("burst", shape, 90 * MINUTE, lengths, seed), steps=tuple(float(s) for s in starts))


def ramp(lengths: Workload, rate: float, seed: int, *, factor: float = 5.0) -> Workload:
    """From `rate` to `factor` times that in an hour, and back in half an hour."""
    corners = np.array([0.0, 10, 70, 100, 110]) * MINUTE
    levels = rate * np.array([1.0, 1, factor, 1, 1])
    return poisson("ramp", lambda t: np.interp(t, corners, levels), float(corners[-1]), lengths, seed)


def length_shift(lengths: Workload, rate: float, seed: int, *, outputs: float = 1.0, inputs: float = 1.0) -> Workload:
    """A constant rate for 75 minutes; from minute 20 to 50 outputs, or prompts, are that much longer."""
    name = "longer-outputs" if outputs != 1 else "longer-prompts"
    load = poisson(name, lambda t: np.full_like(t, rate), 75 * MINUTE, lengths, seed)
    longer = (load.arrival >= 20 * MINUTE) & (load.arrival < 50 * MINUTE)
    output = np.where(longer, np.round(load.output * outputs), load.output).astype(np.int64)
    prompt = np.where(longer, np.round(load.prompt * inputs), load.prompt).astype(np.int64)
    return replace(load, output=output, prompt=prompt, steps=(20 * MINUTE,))


def spikes(lengths: Workload, rate: float, seed: int, *, hours: float = 8.0, factor: float = 4.0) -> Workload:
    """Hours at a low, slowly moving rate with one spike of some minutes every two hours."""
    rng = np.random.default_rng([seed, 5])
    starts = (np.arange(0.6, hours, 2.0) + rng.uniform(0, 1.0, len(np.arange(0.6, hours, 2.0)))) * 3600
    lasts = rng.uniform(4, 10, len(starts)) * MINUTE

    def shape(t: Floats) -> Floats:
        base = 1 + 0.2 * np.sin(2 * np.pi * t / (3 * 3600))
        since = t[:, None] - starts
        # a spike comes up within a minute: clients retry and redirect, they do not switch
        height = np.clip(np.minimum(since / MINUTE, (starts + lasts - t[:, None]) / MINUTE), 0, 1).max(axis=1)
        rates: Floats = rate * (base + (factor - 1) * height)
        return rates

    return replace(poisson("spikes", shape, hours * 3600, lengths, seed), steps=tuple(float(s) for s in starts))
