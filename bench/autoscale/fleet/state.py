"""A fleet's state: records and arrays that the compiled functions work on.

The dataclasses say what the records hold; numba reads and writes their fields by the same names.
"""

from collections.abc import MutableSequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from slmfleet.simulator.records import EngineModel, EngineState, Entry, Sequence

# Where a pod is in its life.
GONE: Final = 0
PENDING: Final = 1
"""Wants a GPU."""
BOOTING: Final = 2
READY: Final = 3
DRAINING: Final = 4

# Columns of the counters that a pod's metrics page shows.
FIRST_TOKENS: Final = 0
LATE_FIRST_TOKENS: Final = 1
PROMPT_TOKENS: Final = 2
CACHED_PROMPT_TOKENS: Final = 3
GENERATED_TOKENS: Final = 4
FINISHED: Final = 5
FINISHED_GENERATED_TOKENS: Final = 6
LATE_TOKENS: Final = 7
TOKEN_GAPS: Final = 8
PREEMPTIONS: Final = 9
COUNTERS: Final = 10


@dataclass(slots=True)
class Request(Sequence):
    """One request in the fleet."""

    prompt: int = 1
    output: int = 1
    first: float = np.inf
    """Second of its first token."""
    finish: float = np.inf
    failed: bool = False


@dataclass(slots=True)
class Pod:
    """One pod; a place is used again when it is gone."""

    phase: int = GONE
    number: int = 0
    """Of all pods ever created."""
    start_seconds: float = 0.0
    crash_until: float = 0.0
    """Starts that end before this second end in a crash."""
    crashed: bool = False
    hung: bool = False
    drain_until: float = np.inf
    bound: int = 0
    """Requests that it has and has not answered,"""
    bound_tokens: int = 0
    """and their prompts' tokens."""
    # The run of steps in progress.
    begin: float = 0.0
    length: int = 0
    """Steps; 0: idle."""
    seconds: float = 0.0
    """Of the first one;"""
    growth: float = 0.0
    """each takes so much longer than the one before."""


@dataclass(slots=True)
class State:
    """What is one of for the fleet, settings that the compiled functions need included."""

    late: bool
    ttft_objective: float
    itl_objective: float
    demote_after: float
    event_skipping: bool
    drain_timeout: float
    quota: int
    hidden_share: float = 0.0
    """Of the pods cannot be read."""
    arrived: int = 0
    """Requests that have come: the next one's number."""
    queued: int = 0
    """The first request that waits in the gateway; those up to `arrived` do."""
    queued_tokens: int = 0
    demoted_head: int = 0
    demoted_tail: int = 0
    ended: int = 0
    """Requests answered or failed."""
    finished: int = 0
    finished_generated: int = 0
    steps: int = 0
    places: int = 0
    """Places in `pods` that were ever used."""
    gpus: int = 0
    """Pods that hold one,"""
    pending: int = 0
    """and that want one."""


class Arrays(NamedTuple):
    """The whole fleet; in Python they are numpy arrays, in compiled code their elements are records."""

    state: State
    models: MutableSequence[EngineModel]
    pods: MutableSequence[Pod]
    engines: MutableSequence[EngineState]
    counters: NDArray[np.int64]
    """One row per pod."""
    batches: NDArray[np.int64]
    ends: NDArray[np.int64]
    phases: NDArray[np.int64]
    entries: MutableSequence[MutableSequence[Entry]]
    buckets: NDArray[np.int64]
    requests: MutableSequence[Request]
    arrivals: NDArray[np.float64]
    hashes: NDArray[np.int64]
    demoted: NDArray[np.int64]
    """The gateway's second queue."""
    due: NDArray[np.float64]
    """When each pod's next event is,"""
    first_due: NDArray[np.int64]
    """and who is first (see pods.set_due)."""
    lives: NDArray[np.float64]
    """By a pod's number: when it got its GPU, was ready, was gone."""
    draws: NDArray[np.float64]
    """By a pod's number modulo their number: a fixed random number of 0 to 1 that decides who cannot be read."""


def dtype_of(record: type) -> np.dtype[Any]:
    """The record type with a dataclass's fields."""
    kinds = {int: np.int64, float: np.float64, bool: np.bool_}
    return np.dtype([(f.name, kinds[cast("type", f.type)]) for f in fields(record)], align=True)
