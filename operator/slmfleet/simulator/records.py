"""What the scheduler's model works on: what an engine is, its requests, and what changes from step to step."""

from collections.abc import MutableSequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)
NONE: Final = -1


class Indexed(Protocol[T_co]):
    """A list, a dict or an array."""

    def __getitem__(self, key: int, /) -> T_co: ...


@dataclass(frozen=True, slots=True)
class EngineModel:
    """One engine: its scheduler's limits, its KV cache, its speed."""

    num_blocks: int
    """KV-cache blocks."""
    a: float
    p: float
    d: float = 0.0
    kappa: float = 0.0
    """Seconds, as engine/steptime.py has them."""
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    """At least max_num_seqs, as vLLM demands."""
    block_size: int = 16
    """Tokens per block."""
    reserve_full_prompt: bool = True
    """A request is admitted only if its whole prompt fits the free blocks (vLLM >= 0.19), not its first chunk."""
    prefix_blocks: int = 0
    """Blocks that one hash of a prompt stands for; 0 switches prefix caching off."""


@dataclass(slots=True)
class Sequence:
    """One request in the engine."""

    prompt: int
    output: int
    """Tokens that it will generate."""
    hashes: int = 0
    """Hashes of its prompt's leading full blocks,"""
    first_hash: int = 0
    """and where they start."""
    generated: int = 0
    """Tokens; while it decodes, see generated()."""
    computed: int = 0
    """Tokens whose keys and values are in the cache while it prefills; 0 while it waits."""
    chunk: int = 0
    """Tokens of it that the step in progress computes, while it prefills."""
    held: int = 0
    """Leading hashes whose blocks it shares with the prefix cache."""
    cached: int = 0
    """Prompt tokens that it found in the prefix cache when it was first admitted."""
    preemptions: int = 0
    after: int = NONE
    """The next in the queue."""


@dataclass(slots=True)
class EngineState:
    """What changes from step to step."""

    steps: int = 0
    running: int = 0
    """Sequences in the batch."""
    in_step: int = 0
    """1 while a step is in progress: each decoding sequence has the block for its next token."""
    decoding: int = 0
    """Those of them that decode: the first."""
    first_end: int = 0
    """No sequence gets its last token before this step."""
    context: int = 0
    """Tokens of the decoding sequences in the cache."""
    used_blocks: int = 0
    """Blocks that sequences hold; those that only the prefix cache keeps are free."""
    waiting: int = 0
    waiting_tokens: int = 0
    """What the waiting ones have to compute, hits in the prefix cache included."""
    head: int = NONE
    tail: int = NONE
    preemptions: int = 0
    prefill_tokens: int = 0
    """Of the step in progress."""
    short: bool = False
    """Whether it ran out of blocks, and therefore admitted nobody."""
    # The prefix cache.
    entries: int = 0
    """Entries that were ever used;"""
    spare: int = NONE
    """those that are free again, a list."""
    oldest: int = NONE
    newest: int = NONE
    idle: int = 0
    """Entries that no sequence holds, from the oldest to the newest."""


@dataclass(slots=True)
class Entry:
    """The blocks of one hash in the prefix cache."""

    hash: int = 0
    holders: int = 0
    """Sequences that hold it."""
    after: int = NONE
    """The next in its bucket, or of the spare ones."""
    older: int = NONE
    newer: int = NONE


class Engine(NamedTuple):
    """An engine's parts."""

    model: EngineModel
    state: EngineState
    batch: MutableSequence[int]
    """Keys of the running sequences in the order of their admission; max_num_seqs places."""
    ends: MutableSequence[int]
    """Beside each decoding one the step with its last token."""
    phases: MutableSequence[int]
    """Decoding sequences by (tokens in the cache - steps) modulo the block size: phases[-steps] need a block next."""
    sequences: Indexed[Sequence]
    entries: MutableSequence[Entry]
    buckets: MutableSequence[int]
    hashes: Indexed[int]
