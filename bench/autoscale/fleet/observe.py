"""What the fleet's metrics pages and its gateway show at a moment: compiled."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from . import state as column
from .pods import blocks_in_use, engine_of, late_steps, steps_done
from .state import BOOTING, COUNTERS, PENDING, READY, Arrays

# Columns of a look before the counters.
READY_PODS: Final = 0
REPORTING: Final = 1
PENDING_PODS: Final = 2
RUNNING: Final = 3
WAITING: Final = 4
KV_TOKENS: Final = 5
KV_CAPACITY: Final = 6
MAX_KV_USAGE: Final = 7
MAX_WAITING: Final = 8
FIRST_COUNTER: Final = 9
# And behind them.
QUEUED: Final = 9 + COUNTERS
QUEUED_TOKENS: Final = QUEUED + 1
OLDEST: Final = QUEUED + 2
ARRIVED: Final = QUEUED + 3
"""Requests, since the start."""
ENDED: Final = QUEUED + 4
ASKED: Final = QUEUED + 5
GPUS: Final = QUEUED + 6
MEASURED: Final = QUEUED + 7
HUNG: Final = QUEUED + 8
COLUMNS: Final = QUEUED + 9

HUNG_AFTER: Final = 30.0
"""Seconds without a token after which an engine with running requests counts as hung; see core/autoscale/fleet.py."""

_FRESH: Final = -1


def observe(
    fleet: Arrays,
    now: float,
    before: NDArray[np.int64],
    read: NDArray[np.int64],
    shown: NDArray[np.int64],
    look: NDArray[np.float64],
    pods: NDArray[np.float64],
) -> None:
    """Read every ready pod into `look` (the columns above) and `pods` (rows: running, waiting, KV usage).

    `before` has the counters as they were read last, `read` beside them the number of the pod that they were read from,
    or
    -1 if it was not read at the last look; both are brought up to date.
    """
    look[:] = 0.0
    model = fleet.models[0]
    for place in range(fleet.state.places):
        pod = fleet.pods[place]
        last, read[place] = read[place], _FRESH
        if pod.phase == BOOTING and not pod.crashed:
            look[PENDING_PODS] += 1
        if pod.phase in (PENDING, BOOTING, READY):
            look[ASKED] += 1
        if pod.phase != READY:
            continue
        look[READY_PODS] += 1
        if fleet.draws[pod.number % len(fleet.draws)] < fleet.state.hidden_share:
            continue
        done = steps_done(fleet, place, now)
        blocks = blocks_in_use(fleet, place, done)
        running, waiting = fleet.engines[place].running, fleet.engines[place].waiting
        at = int(look[REPORTING])
        pods[0, at], pods[1, at], pods[2, at] = running, waiting, blocks / model.num_blocks
        look[REPORTING] += 1
        look[RUNNING] += running
        look[WAITING] += waiting
        look[KV_TOKENS] += blocks * model.block_size
        look[MAX_KV_USAGE] = max(look[MAX_KV_USAGE], pods[2, at])
        look[MAX_WAITING] = max(look[MAX_WAITING], waiting)
        _counters(fleet, place, done, shown)
        look[MEASURED] += last == pod.number
        look[HUNG] += pod.hung and running > 0 and now - pod.begin > HUNG_AFTER
        for counter in range(COUNTERS):
            if last == pod.number:
                look[FIRST_COUNTER + counter] += shown[counter] - before[place, counter]
            before[place, counter] = shown[counter]
        read[place] = pod.number
    look[KV_CAPACITY] = look[REPORTING] * (model.num_blocks * model.block_size)
    _totals(fleet, now, look)


def _counters(fleet: Arrays, place: int, done: int, shown: NDArray[np.int64]) -> None:
    """A pod's counters, with what the steps of the run in progress that are over have brought."""
    engine = engine_of(fleet, place)
    for counter in range(COUNTERS):
        shown[counter] = fleet.counters[place, counter]
    shown[column.GENERATED_TOKENS] += engine.state.decoding * done
    shown[column.TOKEN_GAPS] += engine.state.decoding * done
    shown[column.LATE_TOKENS] += engine.state.decoding * late_steps(fleet, place, done)
    shown[column.PREEMPTIONS] = engine.state.preemptions


def _totals(fleet: Arrays, now: float, look: NDArray[np.float64]) -> None:
    state = fleet.state
    look[ARRIVED], look[ENDED], look[GPUS] = state.arrived, state.ended, state.gpus
    look[QUEUED] = state.arrived - state.queued + state.demoted_tail - state.demoted_head
    look[QUEUED_TOKENS] = state.queued_tokens
    if state.queued < state.arrived:
        look[OLDEST] = now - fleet.arrivals[state.queued]
    if state.demoted_head < state.demoted_tail:
        look[OLDEST] = now - fleet.arrivals[fleet.demoted[state.demoted_head]]
