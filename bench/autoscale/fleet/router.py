"""Which pod gets which request, and when: compiled.

early: a request is bound at its arrival to the ready pod with the least outstanding tokens (the prompts of its
unanswered requests, and for each the mean output that was seen so far). Only where no pod is ready it waits.

late: requests wait in a gateway, first come first served. The head of the queue is bound to a pod that has no unstarted
prefill, else to one whose outstanding prefill is at most a step's token budget; in both cases only if it would get a
slot and its prompt fits the free KV-cache blocks beside what waits there. A request older than `demote_after` moves to
a second queue, which is served only while the first is empty, and only by pods without unstarted prefill: who is late
already does not make others late.
"""

import numpy as np

from slmfleet.simulator import scheduler

from .pods import blocks_in_use, deliver, engine_of, steps_done
from .state import READY, Arrays

_FIRST_GUESS = 256
"""Tokens of an answer, while none has been seen."""


def bind(fleet: Arrays, now: float, only: int) -> None:
    """Bind what can be bound; `only` one pod has changed since the last time, or -1: any."""
    while True:
        demote(fleet, now)
        state = fleet.state
        demoted = state.queued == state.arrived
        if demoted and state.demoted_head == state.demoted_tail:
            return
        key = fleet.demoted[state.demoted_head] if demoted else state.queued
        place = _choose(fleet, key, demoted, now, only)
        if place < 0:
            return
        if demoted:
            state.demoted_head += 1
        else:
            state.queued += 1
        state.queued_tokens -= fleet.requests[key].prompt
        deliver(fleet, place, key, now)
        only = -1  # another head of the queue may fit where this one did not


def demotion_due(fleet: Arrays) -> float:
    """When the head of the queue is to be demoted."""
    state = fleet.state
    return fleet.arrivals[state.queued] + state.demote_after if state.late and state.queued < state.arrived else np.inf


def demote(fleet: Arrays, now: float) -> None:
    """Move requests that have waited too long to the second queue."""
    state = fleet.state
    while demotion_due(fleet) <= now:
        fleet.demoted[state.demoted_tail] = state.queued
        state.demoted_tail += 1
        state.queued += 1


def _choose(fleet: Arrays, key: int, demoted: bool, now: float, only: int) -> int:
    """The best pod for a request, or -1."""
    best, best_busy, best_load = -1, True, np.inf
    expected = (fleet.state.finished_generated + _FIRST_GUESS) / (fleet.state.finished + 1)
    first, last = (0, fleet.state.places) if only < 0 else (only, only + 1)
    for place in range(first, last):
        pod = fleet.pods[place]
        if pod.phase != READY:
            continue
        load = pod.bound_tokens + expected * pod.bound
        busy = fleet.state.late and fleet.engines[place].waiting > 0
        if (busy and not best_busy) or (busy == best_busy and load >= best_load):
            continue
        if fleet.state.late and not _takes(fleet, place, key, demoted, now):
            continue
        best, best_busy, best_load = place, busy, load
    return best


def _takes(fleet: Arrays, place: int, key: int, demoted: bool, now: float) -> bool:
    """Whether the late router may bind a request to a pod."""
    engine = engine_of(fleet, place)
    model, state = engine.model, engine.state
    if state.running + state.waiting >= model.max_num_seqs:
        return False
    if state.waiting > 0 and (demoted or _outstanding_prefill(fleet, place) > model.max_num_batched_tokens):
        return False
    blocks = scheduler.blocks_for(model, state.waiting_tokens + fleet.requests[key].prompt)
    return blocks <= model.num_blocks - blocks_in_use(fleet, place, steps_done(fleet, place, now))


def _outstanding_prefill(fleet: Arrays, place: int) -> int:
    """Tokens that a pod's requests have to compute before they decode."""
    engine = engine_of(fleet, place)
    tokens = engine.state.waiting_tokens
    for at in range(engine.state.decoding, engine.state.running):
        sequence = engine.sequences[engine.batch[at]]
        tokens += sequence.prompt + sequence.generated - sequence.computed
    return tokens
