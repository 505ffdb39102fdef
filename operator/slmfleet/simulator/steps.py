"""A step-time model of one engine: which requests each step works on, and how long the step takes.

Continuous batching with chunked prefill as in vLLM V1 (v1/core/sched/scheduler.py): a step has a token budget
(max_num_batched_tokens). Running requests come first, each with one decode token or the next chunk of its prompt; then
waiting ones in the order of arrival, while a sequence slot, budget and KV-cache blocks are left. When a running request
finds no free block, the latest running one is preempted: it loses its blocks, goes to the head of the queue and later
computes its prompt and what it had generated again.

    step seconds = decode step + prefill tokens / prefill rate
    TTFT = queue time + the steps of the prefill;  ITL = the step's length

Pure: no clock, no randomness. schedule() decides a step, complete() books it when its time has passed; between the two
requests may come and go.
"""

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """What bounds a step and the cache."""

    max_num_seqs: int
    max_num_batched_tokens: int
    num_blocks: int
    block_size: int
    """Tokens per block."""


@dataclass(frozen=True)
class Speed:
    """How fast the simulated accelerator is."""

    prefill_tokens_per_second: float
    decode_step_seconds: float

    def step_seconds(self, prefill_tokens: int) -> float:
        """Seconds that a step with so many prompt tokens takes."""
        return self.decode_step_seconds + prefill_tokens / self.prefill_tokens_per_second


@dataclass
class Sequence:
    """One request in the engine."""

    key: int
    prompt_tokens: int
    output_tokens: int
    """Tokens that it will generate."""
    computed: int = 0
    """Tokens whose keys and values are in the cache."""
    generated: int = 0
    blocks: int = 0
    preemptions: int = 0

    @property
    def to_compute(self) -> int:
        """Tokens that the next step could work on: the rest of the prompt, or the latest generated token."""
        return self.prompt_tokens + self.generated - self.computed

    @property
    def prefilling(self) -> bool:
        """Whether more than the latest token is still to be computed: it emits nothing until then."""
        return self.to_compute > 1 or self.generated == 0


@dataclass(frozen=True)
class Step:
    """What one engine step works on."""

    seconds: float
    work: dict[int, int]
    """Tokens computed per request."""
    admitted: tuple[int, ...]
    preempted: tuple[int, ...]
    prefill_tokens: int


@dataclass(frozen=True)
class Outcome:
    """What a step brought: requests that got a token, and those of them that got their last."""

    emitted: tuple[int, ...] = ()
    finished: tuple[int, ...] = ()
    computed_tokens: int = 0
    """Prompt tokens computed plus tokens generated, as vLLM's iteration_tokens_total counts them."""


@dataclass
class StepModel:
    """The scheduler's state: the queue, the running batch and the cache's free blocks."""

    limits: Limits
    speed: Speed
    waiting: deque[Sequence] = field(default_factory=deque)
    running: list[Sequence] = field(default_factory=list)
    used_blocks: int = 0

    @property
    def has_work(self) -> bool:
        """Whether any request waits or runs."""
        return bool(self.waiting or self.running)

    @property
    def kv_usage(self) -> float:
        """Share of the KV-cache blocks in use, 0 to 1."""
        return self.used_blocks / self.limits.num_blocks

    def add(self, sequence: Sequence) -> None:
        """Queue a request. Raises ValueError for one that could never fit the cache: it would block the queue."""
        if self._blocks_for(sequence.prompt_tokens + sequence.output_tokens) > self.limits.num_blocks:
            raise ValueError(
                f"a request of {sequence.prompt_tokens} + {sequence.output_tokens} tokens does not fit a KV cache of "
                f"{self.limits.num_blocks} blocks of {self.limits.block_size}"
            )
        if sequence.prompt_tokens < 1 or sequence.output_tokens < 1:
            raise ValueError("a request has at least one prompt token and generates at least one")
        self.waiting.append(sequence)

    def remove(self, key: int) -> None:
        """Forget a request (aborted by its client); nothing happens if it is not there."""
        for sequence in self.running:
            if sequence.key == key:
                self._release(sequence)
                self.running.remove(sequence)
                return
        self.waiting = deque(sequence for sequence in self.waiting if sequence.key != key)

    def schedule(self) -> Step:
        """Decide the next step and take the blocks that it writes to."""
        plan = _Plan(self.limits.max_num_batched_tokens)
        at = 0
        while at < len(self.running) and plan.budget > 0:  # self.running shrinks from its end by preemptions
            sequence = self.running[at]
            tokens = min(sequence.to_compute, plan.budget)
            if self._reserve(sequence, tokens, plan):
                plan.take(sequence, tokens)
                at += 1
        if not plan.preempted:  # as vLLM: no admission in a step that ran out of blocks
            self._admit(plan)
        seconds = self.speed.step_seconds(plan.prefill_tokens)
        return Step(seconds, plan.work, tuple(plan.admitted), tuple(plan.preempted), plan.prefill_tokens)

    def complete(self, step: Step) -> Outcome:
        """Book a step whose time has passed; requests that left since then are skipped."""
        emitted, finished, computed = [], [], 0
        for sequence in list(self.running):
            tokens = step.work.get(sequence.key, 0)
            if tokens == 0:
                continue
            was_decoding = not sequence.prefilling
            sequence.computed += tokens
            computed += 0 if was_decoding else tokens
            if sequence.to_compute > 0:
                continue
            sequence.generated += 1
            computed += 1
            emitted.append(sequence.key)
            if sequence.generated == sequence.output_tokens:
                finished.append(sequence.key)
                self._release(sequence)
                self.running.remove(sequence)
        return Outcome(tuple(emitted), tuple(finished), computed)

    def _admit(self, plan: "_Plan") -> None:
        while self.waiting and plan.budget > 0 and len(self.running) < self.limits.max_num_seqs:
            sequence = self.waiting[0]
            tokens = min(sequence.to_compute, plan.budget)
            need = self._blocks_for(tokens)
            if need > self.limits.num_blocks - self.used_blocks:
                return  # first come, first served: nobody overtakes the head of the queue
            self.waiting.popleft()
            self.running.append(sequence)
            self.used_blocks += need
            sequence.blocks = need
            plan.admitted.append(sequence.key)
            plan.take(sequence, tokens)

    def _reserve(self, sequence: Sequence, tokens: int, plan: "_Plan") -> bool:
        """Take the blocks for `tokens` more, preempting from the end of the batch; False if it lost its own place."""
        need = self._blocks_for(sequence.computed + tokens) - sequence.blocks
        while need > self.limits.num_blocks - self.used_blocks:
            victim = self.running.pop()
            self._release(victim)
            victim.computed = 0
            victim.preemptions += 1
            self.waiting.appendleft(victim)
            plan.preempted.append(victim.key)
            if victim is sequence:
                return False
        self.used_blocks += need
        sequence.blocks += need
        return True

    def _release(self, sequence: Sequence) -> None:
        self.used_blocks -= sequence.blocks
        sequence.blocks = 0

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.limits.block_size)


@dataclass
class _Plan:
    """A step while it is being decided."""

    budget: int
    work: dict[int, int] = field(default_factory=dict)
    admitted: list[int] = field(default_factory=list)
    preempted: list[int] = field(default_factory=list)
    prefill_tokens: int = 0

    def take(self, sequence: Sequence, tokens: int) -> None:
        """Spend budget on a request."""
        self.work[sequence.key] = tokens
        self.budget -= tokens
        if sequence.prefilling:
            self.prefill_tokens += tokens
