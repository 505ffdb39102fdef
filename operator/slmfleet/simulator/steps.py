"""The scheduler's model for one engine whose requests come and go: what a look-alike's pod steps through.

schedule() decides a step, complete() books it when its time has passed; between the two requests may come and go.
Pure: no clock, no randomness.
"""

from collections.abc import Sequence as Values
from dataclasses import dataclass

from . import scheduler
from .records import NONE, Engine, EngineModel, EngineState, Entry, Sequence


@dataclass(frozen=True)
class Step:
    """What one engine step is about."""

    seconds: float
    admitted: tuple[int, ...]
    preempted: int
    prefill_tokens: int


@dataclass(frozen=True)
class Outcome:
    """What a step brought: requests that got a token, and those of them that got their last."""

    emitted: tuple[int, ...] = ()
    finished: tuple[int, ...] = ()
    computed_tokens: int = 0
    """Prompt tokens computed plus tokens generated, as vLLM's iteration_tokens_total counts them."""


class StepModel:
    """One engine's scheduler: the queue, the running batch and the cache's blocks."""

    def __init__(self, model: EngineModel) -> None:
        self.model = model
        self.state = EngineState()
        self._sequences: dict[int, Sequence] = {}
        self._hashes: dict[int, int] = {}
        self._next_hash = 0
        entries = model.num_blocks // model.prefix_blocks if model.prefix_blocks else 0
        self._engine = Engine(
            model=model,
            state=self.state,
            batch=[NONE] * model.max_num_seqs,
            ends=[0] * model.max_num_seqs,
            phases=[0] * model.block_size,
            sequences=self._sequences,
            entries=[Entry() for _ in range(entries)],
            buckets=[NONE] * max(1, entries),
            hashes=self._hashes,
        )

    @property
    def has_work(self) -> bool:
        """Whether any request waits or runs."""
        return bool(self.state.waiting or self.state.running)

    @property
    def kv_usage(self) -> float:
        """Share of the KV-cache blocks in use, 0 to 1."""
        return self.state.used_blocks / self.model.num_blocks

    @property
    def running(self) -> list[int]:
        """Keys of the batch's requests in the order of their admission."""
        return list(self._engine.batch[: self.state.running])

    @property
    def waiting(self) -> list[int]:
        """Keys of the requests in the queue."""
        keys, key = [], self.state.head
        while key != NONE:
            keys.append(key)
            key = self._sequences[key].after
        return keys

    def add(self, key: int, prompt_tokens: int, output_tokens: int, hashes: Values[int] = ()) -> Sequence:
        """Queue a request; `hashes` are those of its prompt's leading full blocks, not negative.

        Raises ValueError for one that could never fit the cache: it would block the queue.
        """
        if prompt_tokens < 1 or output_tokens < 1:
            raise ValueError("a request has at least one prompt token and generates at least one")
        if scheduler.blocks_for(self.model, prompt_tokens + output_tokens) > self.model.num_blocks:
            raise ValueError(
                f"a request of {prompt_tokens} + {output_tokens} tokens does not fit a KV cache of "
                f"{self.model.num_blocks} blocks of {self.model.block_size}"
            )
        sequence = Sequence(prompt_tokens, output_tokens, hashes=len(hashes), first_hash=self._next_hash)
        self._hashes.update(enumerate(hashes, self._next_hash))
        self._next_hash += len(hashes)
        self._sequences[key] = sequence
        scheduler.enqueue(self._engine, key)
        return sequence

    def remove(self, key: int) -> None:
        """Forget a request (aborted by its client); nothing happens if it is not there."""
        if key in self._sequences:
            scheduler.remove(self._engine, key)
            self._forget(key)

    def schedule(self) -> Step:
        """Decide the next step and take the blocks that it writes to."""
        state = self.state
        running, preempted = state.running, state.preemptions
        seconds = scheduler.start_step(self._engine)
        preempted = state.preemptions - preempted
        admitted = () if preempted else tuple(self._engine.batch[running : state.running])
        return Step(seconds, admitted, preempted, state.prefill_tokens)

    def complete(self) -> Outcome:
        """Book the step whose time has passed."""
        engine, state = self._engine, self.state
        prefilling = engine.batch[state.decoding : state.running]
        computed = sum(self._sequences[key].chunk for key in prefilling)
        scheduler.complete(engine, 1)
        emitted = tuple(engine.batch[: state.decoding])
        for at, key in enumerate(emitted):
            self._sequences[key].generated = scheduler.generated(engine, at)
        finished = []
        while (key := scheduler.next_finished(engine)) != NONE:
            finished.append(key)
            self._forget(key)
        return Outcome(emitted, tuple(finished), computed + len(emitted))

    def _forget(self, key: int) -> None:
        sequence = self._sequences.pop(key)
        for place in range(sequence.hashes):
            del self._hashes[sequence.first_hash + place]
