"""A pod's life and work: compiled. Times are simulated seconds."""

import math

import numpy as np

from slmfleet.simulator import scheduler
from slmfleet.simulator.records import NONE, Engine

from . import state as column
from .state import BOOTING, DRAINING, GONE, PENDING, READY, Arrays


def engine_of(fleet: Arrays, place: int) -> Engine:
    """A pod's engine."""
    return Engine(
        fleet.models[0],
        fleet.engines[place],
        fleet.batches[place],
        fleet.ends[place],
        fleet.phases[place],
        fleet.requests,
        fleet.entries[place],
        fleet.buckets[place],
        fleet.hashes,
    )


def set_due(fleet: Arrays, place: int, at: float) -> None:
    """Set when a pod's next event is.

    first_due is a tournament: node i holds the place with the earlier event of nodes 2i and 2i+1, the leaves are the
    places themselves; first_due[1] is who is next.
    """
    fleet.due[place] = at
    node = (len(fleet.due) + place) // 2
    while node > 0:
        left, right = fleet.first_due[2 * node], fleet.first_due[2 * node + 1]
        fleet.first_due[node] = left if fleet.due[left] <= fleet.due[right] else right
        node //= 2


def end_of(fleet: Arrays, place: int, steps: int) -> float:
    """When the first `steps` steps of the run in progress are over."""
    pod = fleet.pods[place]
    return pod.begin + steps * pod.seconds + pod.growth * (steps * (steps - 1) / 2)


def steps_done(fleet: Arrays, place: int, now: float) -> int:
    """Steps of the run in progress that are over."""
    pod = fleet.pods[place]
    if pod.length <= 1:  # who has one step has its event when that is over
        return 0
    past = now - pod.begin
    first = pod.seconds - pod.growth / 2
    done = min(int(2 * past / (first + math.sqrt(first * first + 2 * pod.growth * past))), pod.length)
    while done < pod.length and end_of(fleet, place, done + 1) <= now:
        done += 1
    while done > 0 and end_of(fleet, place, done) > now:
        done -= 1
    return done


def late_steps(fleet: Arrays, place: int, steps: int) -> int:
    """How many of the first steps of the run in progress are longer than the objective for gaps between tokens."""
    pod, objective = fleet.pods[place], fleet.state.itl_objective
    if pod.seconds > objective:
        return steps
    if pod.growth <= 0.0:
        return 0
    in_time = (objective - pod.seconds) / pod.growth + 1
    return steps - int(in_time) if in_time < steps else 0


def blocks_in_use(fleet: Arrays, place: int, done: int) -> int:
    """KV-cache blocks that a pod's requests hold when `done` steps of the run in progress are over."""
    engine = engine_of(fleet, place)
    begun = min(done + 1, fleet.pods[place].length)
    return engine.state.used_blocks + (scheduler.blocks_taken(engine, begun) if begun > 1 else 0)


def begin_work(fleet: Arrays, place: int, now: float) -> None:
    """Start the next run of steps; a pod that drains and has nothing left goes."""
    pod, engine = fleet.pods[place], engine_of(fleet, place)
    pod.length = 0
    if pod.hung or engine.state.running + engine.state.waiting == 0:
        if pod.phase == DRAINING and pod.bound == 0:
            leave(fleet, place, now)
        else:
            set_due(fleet, place, pod.drain_until)
        return
    pod.seconds = scheduler.start_step(engine)
    pod.begin = now
    pod.length = scheduler.run_length(engine) if fleet.state.event_skipping else 1
    pod.growth = engine.model.kappa * engine.state.decoding
    set_due(fleet, place, min(end_of(fleet, place, pod.length), pod.drain_until))


def cut(fleet: Arrays, place: int, now: float) -> None:
    """Let the run in progress end with the step that is in progress."""
    pod = fleet.pods[place]
    pod.length = min(pod.length, steps_done(fleet, place, now) + 1)
    set_due(fleet, place, min(end_of(fleet, place, pod.length), pod.drain_until))


def finish_work(fleet: Arrays, place: int, now: float) -> None:
    """Book the run of steps that is over."""
    pod, engine, counters = fleet.pods[place], engine_of(fleet, place), fleet.counters[place]
    tokens = engine.state.decoding * pod.length
    counters[column.GENERATED_TOKENS] += tokens
    counters[column.TOKEN_GAPS] += tokens
    counters[column.LATE_TOKENS] += engine.state.decoding * late_steps(fleet, place, pod.length)
    fleet.state.steps += pod.length
    promoted = scheduler.complete(engine, pod.length)
    for at in range(engine.state.decoding - promoted, engine.state.decoding):
        _book_first_token(fleet, place, engine.batch[at], now)
    key = scheduler.next_finished(engine)
    while key != NONE:
        request = fleet.requests[key]
        request.finish = now
        counters[column.FINISHED] += 1
        counters[column.FINISHED_GENERATED_TOKENS] += request.output
        fleet.state.finished += 1
        fleet.state.finished_generated += request.output
        _unbind(fleet, place, key)
        key = scheduler.next_finished(engine)
    pod.length = 1  # the event is not over: who binds a request now need not start the pod


def _book_first_token(fleet: Arrays, place: int, key: int, now: float) -> None:
    """A prefill has ended; after a preemption the token is another one, and late."""
    request, counters = fleet.requests[key], fleet.counters[place]
    counters[column.GENERATED_TOKENS] += 1
    if request.first < np.inf:
        counters[column.TOKEN_GAPS] += 1
        counters[column.LATE_TOKENS] += 1
        return
    request.first = now
    counters[column.FIRST_TOKENS] += 1
    counters[column.PROMPT_TOKENS] += request.prompt
    counters[column.CACHED_PROMPT_TOKENS] += request.cached
    if now - fleet.arrivals[key] > fleet.state.ttft_objective:
        counters[column.LATE_FIRST_TOKENS] += 1


def _unbind(fleet: Arrays, place: int, key: int) -> None:
    pod = fleet.pods[place]
    pod.bound -= 1
    pod.bound_tokens -= fleet.requests[key].prompt
    fleet.state.ended += 1


def deliver(fleet: Arrays, place: int, key: int, now: float) -> None:
    """Give a pod a request."""
    pod, engine = fleet.pods[place], engine_of(fleet, place)
    scheduler.enqueue(engine, key)
    pod.bound += 1
    pod.bound_tokens += fleet.requests[key].prompt
    if pod.hung:
        return
    if pod.length == 0:
        begin_work(fleet, place, now)
    elif pod.length > 1 and engine.state.waiting == 1 and engine.state.running < engine.model.max_num_seqs:
        cut(fleet, place, now)


def create(fleet: Arrays, place: int, number: int, start_seconds: float, crash_until: float) -> None:
    """A pod that wants a GPU."""
    pod = fleet.pods[place]
    pod.phase = PENDING
    pod.number = number
    pod.start_seconds = start_seconds
    pod.crash_until = crash_until
    pod.crashed = False
    pod.hung = False
    pod.drain_until = np.inf
    pod.bound = 0
    pod.bound_tokens = 0
    pod.length = 0
    fleet.engines[place] = fleet.engines[len(fleet.engines) - 1]  # the last one is never used
    fleet.phases[place] = 0
    fleet.buckets[place] = NONE
    fleet.counters[place] = 0
    fleet.state.pending += 1
    fleet.state.places = max(fleet.state.places, place + 1)


def grant(fleet: Arrays, now: float) -> None:
    """Give free GPUs to those who wait, the oldest first; they boot."""
    while fleet.state.pending > 0 and fleet.state.gpus < fleet.state.quota:
        oldest = -1
        for place in range(fleet.state.places):
            if fleet.pods[place].phase == PENDING and (
                oldest < 0 or fleet.pods[place].number < fleet.pods[oldest].number
            ):
                oldest = place
        start(fleet, oldest, now)


def start(fleet: Arrays, place: int, now: float) -> None:
    """Give a pending pod a GPU; it boots."""
    pod = fleet.pods[place]
    pod.phase = BOOTING
    fleet.state.pending -= 1
    fleet.state.gpus += 1
    fleet.lives[pod.number, 0] = now
    set_due(fleet, place, now + pod.start_seconds)


def boot(fleet: Arrays, place: int, now: float) -> bool:
    """A start has ended; gives whether the pod is ready: else it has crashed and starts again."""
    pod = fleet.pods[place]
    pod.crashed = now < pod.crash_until
    if pod.crashed:
        set_due(fleet, place, now + pod.start_seconds)
        return False
    pod.phase = READY
    fleet.lives[pod.number, 1] = now
    set_due(fleet, place, np.inf)
    return True


def drain(fleet: Arrays, place: int, now: float) -> None:
    """Take a ready pod away: no new requests, gone when the ones that it has are answered or the timeout is over."""
    pod = fleet.pods[place]
    pod.phase = DRAINING
    pod.drain_until = now + fleet.state.drain_timeout
    if pod.bound == 0:
        leave(fleet, place, now)
    else:
        set_due(fleet, place, min(fleet.due[place], pod.drain_until))


def put_back(fleet: Arrays, place: int) -> None:
    """Let a draining pod take requests again."""
    pod = fleet.pods[place]
    pod.phase = READY
    pod.drain_until = np.inf
    set_due(fleet, place, end_of(fleet, place, pod.length) if pod.length > 0 else np.inf)


def hang(fleet: Arrays, place: int, now: float) -> None:
    """Let a ready pod stop after the step in progress."""
    fleet.pods[place].hung = True
    if fleet.pods[place].length > 1:
        cut(fleet, place, now)


def leave(fleet: Arrays, place: int, now: float) -> None:
    """A pod goes, now; requests that it still has fail."""
    pod, engine = fleet.pods[place], engine_of(fleet, place)
    for at in range(engine.state.running):
        fleet.requests[engine.batch[at]].failed = True
        _unbind(fleet, place, engine.batch[at])
    key = engine.state.head
    while key != NONE:
        fleet.requests[key].failed = True
        _unbind(fleet, place, key)
        key = fleet.requests[key].after
    engine.state.running = 0
    engine.state.head = NONE
    if pod.phase == PENDING:
        fleet.state.pending -= 1
    else:
        fleet.lives[pod.number, 2] = now
        fleet.state.gpus -= 1
    pod.phase = GONE
    set_due(fleet, place, np.inf)
    grant(fleet, now)
