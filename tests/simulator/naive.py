"""vLLM's scheduler step by step and sequence by sequence, with nothing derived or skipped: what the model is held against."""

from collections import deque
from dataclasses import dataclass, field

from slmfleet.simulator.records import EngineModel


@dataclass
class Sequence:
    key: int
    prompt: int
    output: int
    computed: int = 0
    generated: int = 0
    blocks: int = 0
    work: int = 0
    prefilling: bool = True
    """Until it gets a token, again after a preemption: the rest may then be a single token."""

    @property
    def to_compute(self) -> int:
        return self.prompt + self.generated - self.computed


@dataclass
class Naive:
    model: EngineModel
    waiting: deque[Sequence] = field(default_factory=deque)
    running: list[Sequence] = field(default_factory=list)
    free: int = 0

    def __post_init__(self) -> None:
        self.free = self.model.num_blocks

    def blocks(self, tokens: int) -> int:
        return -(-tokens // self.model.block_size)

    def step(self) -> tuple[float, list[int], list[int]]:
        """Seconds, who got a token, who is done."""
        preempted = self.schedule_running()
        if not preempted:
            self.admit()
        prefill = sum(s.work for s in self.running if s.prefilling)
        context = sum(s.computed for s in self.running)
        model = self.model
        seconds = model.a + model.p * prefill + model.d * len(self.running) + model.kappa * context
        emitted, done = [], []
        for sequence in list(self.running):
            sequence.computed += sequence.work
            sequence.work = 0
            if sequence.to_compute == 0:
                sequence.generated += 1
                sequence.prefilling = False
                emitted.append(sequence.key)
            if sequence.generated == sequence.output:
                done.append(sequence.key)
                self.running.remove(sequence)
                self.free += sequence.blocks
        return seconds, emitted, done

    def schedule_running(self) -> bool:
        budget, at, preempted = self.model.max_num_batched_tokens, 0, False
        while at < len(self.running):
            sequence = self.running[at]
            work = min(sequence.to_compute, budget)
            need = self.blocks(sequence.computed + work) - sequence.blocks
            while need > self.free:
                preempted = True
                victim = self.running.pop()
                self.free += victim.blocks
                victim.blocks = victim.computed = victim.work = 0
                victim.prefilling = True
                self.waiting.appendleft(victim)
                if victim is sequence:
                    return True
            self.free -= need
            sequence.blocks += need
            sequence.work = work
            budget -= work
            at += 1
        return preempted

    def admit(self) -> None:
        budget = self.model.max_num_batched_tokens - sum(s.work for s in self.running)
        while self.waiting and budget > 0 and len(self.running) < self.model.max_num_seqs:
            sequence = self.waiting[0]
            work = min(sequence.to_compute, budget)
            if self.blocks(sequence.to_compute if self.model.reserve_full_prompt else work) > self.free:
                return
            self.waiting.popleft()
            sequence.blocks, sequence.work = self.blocks(work), work
            self.free -= sequence.blocks
            budget -= work
            self.running.append(sequence)
