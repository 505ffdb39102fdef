"""Requests with their times and lengths: what every policy is run on."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_REQUESTS = 200_000
MAX_HOURS = 48.0
JITTER = 20.0
"""Seconds, to either side: how far a copy lies from the request that it was made of."""


@dataclass(frozen=True)
class Workload:
    """Requests in the order of their arrival. All arrays but `blocks` have one element per request."""

    name: str
    arrival: Floats
    """Seconds from the beginning, ascending."""
    prompt: Ints
    """Tokens."""
    output: Ints
    """Tokens."""
    duration: float
    """Seconds."""
    blocks: Ints | None = None
    """Prefix blocks of all requests one after another; equal numbers are equal tokens. None where they are unknown."""
    first_block: Ints | None = None
    """Where each request's blocks begin in `blocks`; one element more than requests."""
    block_tokens: int = 0
    """Tokens of one prefix block; 0 without blocks."""
    sampled: bool = False
    """The arrivals are drawn from rates: semi-synthetic, other seeds give other requests."""
    steps: tuple[float, ...] = ()
    """Seconds at which a made workload's load jumps up; recovery is told from them."""

    def __len__(self) -> int:
        return len(self.arrival)

    def rate(self, seconds: float) -> Floats:
        """Mean requests per second in each interval of `seconds`."""
        bins = max(1, int(np.ceil(self.duration / seconds)))
        counts: Floats = np.bincount((self.arrival / seconds).astype(np.int64), minlength=bins)[:bins] / seconds
        return counts


def chosen(load: Workload, which: Ints, arrival: Floats, *, copy: Ints | None = None) -> Workload:
    """The requests numbered `which` (repeats allowed) at the times `arrival`, in order of time.

    `copy` numbers the copies of a request: the copies' prefix blocks are their own, so that copying does not invent
    reuse that the trace does not have.
    """
    order = np.argsort(arrival, kind="stable")
    which, arrival = which[order], arrival[order]
    blocks, first = load.blocks, load.first_block
    if blocks is not None and first is not None:
        copies = np.zeros(len(which), np.int64) if copy is None else copy[order]
        lengths = (first[1:] - first[:-1])[which]
        starts = np.concatenate(([0], np.cumsum(lengths)))
        inside = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        span = int(blocks.max(initial=0)) + 1
        blocks = blocks[np.repeat(first[:-1][which], lengths) + inside] + np.repeat(copies * span, lengths)
        first = starts
    return replace(
        load, arrival=arrival, prompt=load.prompt[which], output=load.output[which], blocks=blocks, first_block=first
    )


def scaled(load: Workload, scale: float, seed: int) -> Workload:
    """`scale` times the requests: whole copies within +-20 s of the original, and a random part for the rest.

    Below 1 requests are left out at random. Lengths and their order stay those of the trace.
    """
    if not 0 < scale < 1e4:
        raise ValueError(f"--scale {scale:g}: the number of copies of each request must lie between 0 and 10000")
    if scale == 1:
        return load
    rng = np.random.default_rng([seed, 1])
    count = len(load)
    copies = int(scale) + (rng.random(count) < scale - int(scale)).astype(np.int64)
    which = np.repeat(np.arange(count), copies)
    number = np.arange(len(which)) - np.repeat(np.cumsum(copies) - copies, copies)
    shift = np.where(number == 0, 0.0, rng.uniform(-JITTER, JITTER, len(which)))
    arrival = load.arrival[which] + shift
    # What would lie outside is mirrored back: the edges are neither empty nor crowded.
    arrival = np.where(arrival < 0, -arrival, arrival)
    arrival = np.where(arrival >= load.duration, 2 * load.duration - arrival, arrival)
    return chosen(load, which, np.clip(arrival, 0, np.nextafter(load.duration, 0)), copy=number)


def window(load: Workload, start: float, seconds: float | None) -> Workload:
    """The requests from `start` on, for `seconds` (None: all that follow), their times counted from `start`."""
    end = load.duration if seconds is None else min(load.duration, start + seconds)
    inside = np.flatnonzero((load.arrival >= start) & (load.arrival < end))
    if not len(inside):
        raise ValueError(
            f"{load.name}: no requests from {start / 3600:g} h to {end / 3600:g} h; the trace lasts"
            f" {load.duration / 3600:.2f} h: choose --start-hour and --hours inside it"
        )
    cut = chosen(load, inside, load.arrival[inside] - start)
    steps = tuple(step - start for step in load.steps if start <= step < end)
    return replace(cut, duration=end - start, steps=steps)


def bounded(load: Workload) -> Workload:
    """The first 48 h and 200,000 requests at most."""
    end = min(load.duration, MAX_HOURS * 3600)
    if len(load) > MAX_REQUESTS:
        end = min(end, float(load.arrival[MAX_REQUESTS]))
    return load if end >= load.duration else window(load, 0.0, end)


def fitting(load: Workload, longest: int) -> Workload:
    """Without the requests that an engine refuses because prompt and output exceed its `longest` sequence, tokens."""
    inside = np.flatnonzero(load.prompt + load.output <= longest)
    return load if len(inside) == len(load) else chosen(load, inside, load.arrival[inside])
