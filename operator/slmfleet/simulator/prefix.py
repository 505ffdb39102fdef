"""vLLM V1's prefix cache as a model: blocks of prompts found again by their hash, the least recently used evicted.

An entry stands for the blocks of one hash (EngineModel.prefix_blocks). While sequences hold it, it takes its blocks
once for all of them; then it is idle: its blocks are free, but come after those that hold nothing, and the oldest
first. Differences to v1/core/block_pool.py: generated tokens are not found again, and who computes a block that another
has computed meanwhile shares that one.

The functions follow scheduler.py's rules.
"""

from .records import NONE, Engine


def leading_hits(engine: Engine, key: int, most: int) -> tuple[int, int]:
    """How many leading hashes of a prompt are cached, of at most `most` tokens, and how many of those are idle."""
    sequence, hits, idle = engine.sequences[key], 0, 0
    if engine.model.prefix_blocks == 0:
        return hits, idle
    limit = min(sequence.hashes, most // (engine.model.prefix_blocks * engine.model.block_size))
    while hits < limit:
        at = _find(engine, engine.hashes[sequence.first_hash + hits])
        if at == NONE:
            break
        if engine.entries[at].holders == 0:
            idle += 1
        hits += 1
    return hits, idle


def hold_leading(engine: Engine, key: int, hits: int) -> None:
    """Let an admitted sequence hold the first `hits` of its hashes, which are in the cache."""
    sequence = engine.sequences[key]
    for place in range(hits):
        _hold(engine, _find(engine, engine.hashes[sequence.first_hash + place]))
    sequence.held = hits


def keep(engine: Engine, key: int) -> None:
    """Put what a prefilling sequence has computed into the cache."""
    model, state, sequence = engine.model, engine.state, engine.sequences[key]
    if model.prefix_blocks == 0:
        return
    full = min(sequence.hashes, sequence.computed // (model.prefix_blocks * model.block_size))
    while sequence.held < full:
        value = engine.hashes[sequence.first_hash + sequence.held]
        at = _find(engine, value)
        if at == NONE:
            at = _add(engine, value)
        state.used_blocks -= model.prefix_blocks  # its own blocks become the entry's
        _hold(engine, at)
        sequence.held += 1


def release(engine: Engine, key: int) -> None:
    """Let go of all that a sequence holds; the end of its prompt becomes the oldest."""
    state, sequence = engine.state, engine.sequences[key]
    while sequence.held > 0:
        sequence.held -= 1
        at = _find(engine, engine.hashes[sequence.first_hash + sequence.held])
        entry = engine.entries[at]
        entry.holders -= 1
        if entry.holders == 0:
            state.used_blocks -= engine.model.prefix_blocks
            _make_newest(engine, at)


def trim(engine: Engine) -> None:
    """Evict the oldest idle entries until what sequences hold has room."""
    model, state = engine.model, engine.state
    while state.idle > 0 and state.used_blocks + state.idle * model.prefix_blocks > model.num_blocks:
        at = state.oldest
        _leave_idle(engine, at)
        _forget(engine, at)


def _find(engine: Engine, value: int) -> int:
    at = engine.buckets[value % len(engine.buckets)]
    while at != NONE and engine.entries[at].hash != value:
        at = engine.entries[at].after
    return at


def _add(engine: Engine, value: int) -> int:
    """An entry that is idle, and the newest."""
    state = engine.state
    at = state.spare
    if at == NONE:
        at = state.entries
        state.entries += 1
    else:
        state.spare = engine.entries[at].after
    entry = engine.entries[at]
    bucket = value % len(engine.buckets)
    entry.hash = value
    entry.holders = 0
    entry.after = engine.buckets[bucket]
    engine.buckets[bucket] = at
    _make_newest(engine, at)
    return at


def _forget(engine: Engine, at: int) -> None:
    entry = engine.entries[at]
    bucket = entry.hash % len(engine.buckets)
    if engine.buckets[bucket] == at:
        engine.buckets[bucket] = entry.after
    else:
        before = engine.buckets[bucket]
        while engine.entries[before].after != at:
            before = engine.entries[before].after
        engine.entries[before].after = entry.after
    entry.after = engine.state.spare
    engine.state.spare = at


def _hold(engine: Engine, at: int) -> None:
    entry = engine.entries[at]
    if entry.holders == 0:
        _leave_idle(engine, at)
        engine.state.used_blocks += engine.model.prefix_blocks
    entry.holders += 1


def _make_newest(engine: Engine, at: int) -> None:
    state, entry = engine.state, engine.entries[at]
    entry.older = state.newest
    entry.newer = NONE
    if state.newest == NONE:
        state.oldest = at
    else:
        engine.entries[state.newest].newer = at
    state.newest = at
    state.idle += 1


def _leave_idle(engine: Engine, at: int) -> None:
    state, entry = engine.state, engine.entries[at]
    if entry.older == NONE:
        state.oldest = entry.newer
    else:
        engine.entries[entry.older].newer = entry.newer
    if entry.newer == NONE:
        state.newest = entry.older
    else:
        engine.entries[entry.newer].older = entry.older
    state.idle -= 1
