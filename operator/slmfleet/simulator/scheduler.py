"""vLLM V1's scheduler as a model: what each engine step works on, and how long it takes.

As v1/core/sched/scheduler.py of vLLM 0.32 has it: a step has a token budget (max_num_batched_tokens). Running requests
come first, each with one decode token or the next chunk of its prompt; then waiting ones in the order of arrival, while
a sequence slot, budget and KV-cache blocks are left. When a running request finds no free block, the latest running one
is preempted: it loses its blocks, goes to the head of the queue and later computes its prompt and what it had generated
again; nobody is admitted in that step.

    step seconds = a + p * prefill tokens + d * sequences + kappa * their tokens in the KV cache before the step

These functions have no clock and no randomness. They work on objects with attributes and on what can be indexed, and
use no more of Python than numba compiles: the look-alike's pods call them on dataclasses, lists and dicts, the
benchmark's fleets compile them for records and arrays.

The budget covers one token of every sequence (vLLM demands it), so all decoding sequences advance together, one token
per step. What follows from the number of steps is therefore not stored: batch[:decoding] decode, and each ends at the
step in `ends`; batch[decoding:running] prefill, and only the last of them can be partial.
"""

from . import prefix
from .records import NONE, Engine, EngineModel


def blocks_for(model: EngineModel, tokens: int) -> int:
    """KV-cache blocks that so many tokens take."""
    return (tokens + model.block_size - 1) // model.block_size


def tokens_in_cache(engine: Engine, at: int) -> int:
    """Tokens of the decoding sequence at a place of the batch."""
    sequence = engine.sequences[engine.batch[at]]
    return sequence.prompt + sequence.output - 1 - (engine.ends[at] - engine.state.steps)


def generated(engine: Engine, at: int) -> int:
    """Tokens that the sequence at a place of the batch has generated."""
    sequence = engine.sequences[engine.batch[at]]
    return (
        sequence.output - (engine.ends[at] - engine.state.steps) if at < engine.state.decoding else sequence.generated
    )


def enqueue(engine: Engine, key: int) -> None:
    """Put a request at the end of the queue."""
    state, sequence = engine.state, engine.sequences[key]
    sequence.after = NONE
    if state.tail == NONE:
        state.head = key
    else:
        engine.sequences[state.tail].after = key
    state.tail = key
    state.waiting += 1
    state.waiting_tokens += sequence.prompt + sequence.generated


def start_step(engine: Engine) -> float:
    """Decide the next step and take the blocks that it writes to; gives its seconds."""
    model, state = engine.model, engine.state
    preemptions = state.preemptions
    state.prefill_tokens = 0
    while engine.phases[-state.steps % model.block_size] > model.num_blocks - state.used_blocks:
        _preempt_last(engine)
    state.used_blocks += engine.phases[-state.steps % model.block_size]
    state.in_step = 1
    context = state.context
    if state.running > state.decoding:
        context += _continue_prefill(engine)
    state.short = state.preemptions > preemptions
    if not state.short:
        context += _admit(engine)
    prefix.trim(engine)
    return model.a + model.p * state.prefill_tokens + model.d * state.running + model.kappa * context


def _continue_prefill(engine: Engine) -> int:
    """Plan the next chunk of the one sequence that still prefills; gives its tokens in the cache."""
    model, state = engine.model, engine.state
    sequence = engine.sequences[engine.batch[state.running - 1]]
    rest = sequence.prompt + sequence.generated - sequence.computed
    chunk = min(rest, model.max_num_batched_tokens - state.decoding)
    need = blocks_for(model, sequence.computed + chunk) - blocks_for(model, sequence.computed)
    if need > model.num_blocks - state.used_blocks:
        _preempt_last(engine)
        return 0
    state.used_blocks += need
    sequence.chunk = chunk
    state.prefill_tokens += chunk
    return sequence.computed


def _admit(engine: Engine) -> int:
    """Let waiting sequences in, first come first served; gives their tokens that were in the cache."""
    model, state = engine.model, engine.state
    budget = model.max_num_batched_tokens - state.decoding - state.prefill_tokens
    context = 0
    while state.head != NONE and budget > 0 and state.running < model.max_num_seqs:
        key = state.head
        sequence = engine.sequences[key]
        total = sequence.prompt + sequence.generated
        hits, idle = prefix.leading_hits(engine, key, total - 1)
        computed = hits * model.prefix_blocks * model.block_size
        chunk = min(total - computed, budget)
        shared = (hits - idle) * model.prefix_blocks
        must_fit = total if model.reserve_full_prompt else computed + chunk
        if blocks_for(model, must_fit) - shared > model.num_blocks - state.used_blocks:
            break  # nobody overtakes the head of the queue
        _leave_queue(engine, key)
        state.used_blocks += blocks_for(model, computed + chunk) - hits * model.prefix_blocks
        prefix.hold_leading(engine, key, hits)
        sequence.computed = computed
        sequence.chunk = chunk
        if sequence.preemptions == 0:
            sequence.cached = computed
        engine.batch[state.running] = key
        state.running += 1
        state.prefill_tokens += chunk
        budget -= chunk
        context += computed
    return context


def _leave_queue(engine: Engine, key: int) -> None:
    state, sequence = engine.state, engine.sequences[key]
    state.head = sequence.after
    if state.head == NONE:
        state.tail = NONE
    state.waiting -= 1
    state.waiting_tokens -= sequence.prompt + sequence.generated


def _preempt_last(engine: Engine) -> None:
    state = engine.state
    tokens = generated(engine, state.running - 1)
    key = take_out(engine, state.running - 1)
    sequence = engine.sequences[key]
    sequence.generated = tokens
    sequence.preemptions += 1
    sequence.after = state.head
    state.head = key
    if state.tail == NONE:
        state.tail = key
    state.waiting += 1
    state.waiting_tokens += sequence.prompt + tokens
    state.preemptions += 1


def take_out(engine: Engine, at: int) -> int:
    """Take the sequence at a place of the batch out of it, and its blocks; gives its key."""
    model, state = engine.model, engine.state
    key = engine.batch[at]
    sequence = engine.sequences[key]
    if at < state.decoding:
        tokens = tokens_in_cache(engine, at)
        engine.phases[(tokens - state.steps) % model.block_size] -= 1
        state.context -= tokens
        state.decoding -= 1
        tokens += state.in_step
    else:
        tokens = sequence.computed + sequence.chunk
    for place in range(at, state.running - 1):
        engine.batch[place] = engine.batch[place + 1]
        engine.ends[place] = engine.ends[place + 1]
    state.running -= 1
    state.used_blocks -= blocks_for(model, tokens) - sequence.held * model.prefix_blocks
    prefix.release(engine, key)
    sequence.computed = 0
    sequence.chunk = 0
    return key


def run_length(engine: Engine) -> int:
    """How many steps, the one in progress included, do the same: decode, admit nobody, end with nobody's last token.

    Only new arrivals change that: who waits already waits for a slot or blocks, and neither becomes free before.
    """
    model, state = engine.model, engine.state
    if state.short or state.running > state.decoding or state.decoding == 0:
        return 1
    length = state.first_end - state.steps
    free = model.num_blocks - state.used_blocks
    cycles = min((length - 1) // model.block_size, free // state.decoding)
    free -= cycles * state.decoding
    steps = 1 + cycles * model.block_size
    while steps < length and engine.phases[-(state.steps + steps) % model.block_size] <= free:
        free -= engine.phases[-(state.steps + steps) % model.block_size]
        steps += 1
    return steps


def blocks_taken(engine: Engine, steps: int) -> int:
    """Blocks that the decoding sequences take for a run of steps beyond those that its first one has reserved."""
    size = engine.model.block_size
    taken = (steps - 1) // size * engine.state.decoding
    for step in range(1 + (steps - 1) // size * size, steps):
        taken += engine.phases[-(engine.state.steps + step) % size]
    return taken


def complete(engine: Engine, steps: int) -> int:
    """Book the step in progress, or a run of `steps` like it.

    Gives how many sequences ended their prefill and got a token: the last of batch[:decoding]. next_finished() must
    follow.
    """
    model, state = engine.model, engine.state
    state.used_blocks += blocks_taken(engine, steps)
    state.context += state.decoding * steps
    state.steps += steps
    state.in_step = 0
    promoted = 0
    while state.decoding < state.running:
        key = engine.batch[state.decoding]
        sequence = engine.sequences[key]
        sequence.computed += sequence.chunk
        sequence.chunk = 0
        prefix.keep(engine, key)
        if sequence.computed < sequence.prompt + sequence.generated:
            break
        sequence.generated += 1
        end = state.steps + sequence.output - sequence.generated
        engine.ends[state.decoding] = end
        state.first_end = end if state.decoding == 0 else min(state.first_end, end)
        engine.phases[(sequence.computed - state.steps) % model.block_size] += 1
        state.context += sequence.computed
        state.decoding += 1
        promoted += 1
    prefix.trim(engine)
    return promoted


def next_finished(engine: Engine) -> int:
    """Take a sequence that has its last token out of the batch; gives its key, or NONE when no more has."""
    state = engine.state
    if state.decoding == 0 or state.steps < state.first_end:
        return NONE
    first = engine.ends[0]
    for at in range(state.decoding):
        if engine.ends[at] <= state.steps:
            return take_out(engine, at)
        first = min(first, engine.ends[at])
    state.first_end = first
    return NONE


def remove(engine: Engine, key: int) -> None:
    """Forget a request whose client has left; nothing happens if it is not there."""
    state = engine.state
    for at in range(state.running):
        if engine.batch[at] == key:
            take_out(engine, at)
            return
    before, at_key = NONE, state.head
    while at_key not in (NONE, key):
        before, at_key = at_key, engine.sequences[at_key].after
    if at_key == NONE:
        return
    sequence = engine.sequences[key]
    if before == NONE:
        _leave_queue(engine, key)
        return
    engine.sequences[before].after = sequence.after
    if state.tail == key:
        state.tail = before
    state.waiting -= 1
    state.waiting_tokens -= sequence.prompt + sequence.generated
