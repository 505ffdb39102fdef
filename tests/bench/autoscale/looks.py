"""Looks at a fleet, made by hand."""

from collections.abc import Sequence

import numpy as np

from bench.autoscale.policy import Look
from slmfleet.core.autoscale.signals import Gateway, Signals


def look(
    at: float = 0.0,
    *,
    kv: Sequence[float] = (),
    waiting: Sequence[float] = (),
    in_flight: float = 0.0,
    arrived: float = 0.0,
    capacity: float = 30_000.0,
    lengths: tuple[float, float] = (0.0, 0.0),
    held: float | None = None,
) -> Look:
    """`lengths` are prompt and output tokens of one request that began and one that ended in this second."""
    pods = max(len(kv), len(waiting))
    usage = np.array(kv or [0.0] * pods)
    waits = np.array(waiting or [0.0] * pods)
    prompt, output = lengths
    signals = Signals(
        at=at,
        seconds=1,
        ready=pods,
        reporting=pods,
        pending=0,
        running=0,
        waiting=float(waits.sum()),
        kv_tokens=float(usage.sum() * capacity),
        kv_capacity=pods * capacity,
        max_kv_usage=float(usage.max(initial=0)),
        max_waiting=float(waits.max(initial=0)),
        first_tokens=1.0 if prompt else 0.0,
        late_first_tokens=0,
        prompt_tokens=prompt,
        cached_prompt_tokens=0,
        generated_tokens=output,
        finished=1.0 if output else 0.0,
        finished_generated_tokens=output,
        late_tokens=0,
        token_gaps=0,
        preemptions=0,
        gateway=None if held is None else Gateway(held, 0, 0, 0, 0),
    )
    return Look(signals, np.zeros(pods), waits, usage, np.full(pods, capacity), arrived, in_flight)
