from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.simulator.steps import Limits, Sequence, Speed, StepModel

SPEED = Speed(prefill_tokens_per_second=1000.0, decode_step_seconds=0.02)


def model(*, seqs: int = 4, budget: int = 100, blocks: int = 100, block_size: int = 10) -> StepModel:
    return StepModel(Limits(seqs, budget, blocks, block_size), SPEED)


def steps_until_idle(scheduler: StepModel) -> list[tuple[float, tuple[int, ...], tuple[int, ...]]]:
    """Seconds, emitted and finished of every step."""
    seen = []
    while scheduler.has_work:
        step = scheduler.schedule()
        outcome = scheduler.complete(step)
        seen.append((step.seconds, outcome.emitted, outcome.finished))
    return seen


def test_a_prefill_step_takes_the_decode_step_plus_its_prompt_tokens() -> None:
    scheduler = model()
    scheduler.add(Sequence(0, prompt_tokens=50, output_tokens=2))
    steps = steps_until_idle(scheduler)
    assert [seconds for seconds, _, _ in steps] == pytest.approx([0.07, 0.02])
    assert [outcome for _, *outcome in steps] == [[(0,), ()], [(0,), (0,)]]


def test_a_prompt_longer_than_the_budget_is_computed_in_chunks_and_emits_after_the_last() -> None:
    scheduler = model(budget=100)
    scheduler.add(Sequence(0, prompt_tokens=250, output_tokens=1))
    assert [emitted for _, emitted, _ in steps_until_idle(scheduler)] == [(), (), (0,)]


def test_decodes_come_before_a_new_prompt_and_share_its_step() -> None:
    scheduler = model(budget=100)
    scheduler.add(Sequence(0, prompt_tokens=10, output_tokens=3))
    scheduler.complete(scheduler.schedule())
    scheduler.add(Sequence(1, prompt_tokens=200, output_tokens=1))
    assert scheduler.schedule().work == {0: 1, 1: 99}


def test_no_more_than_max_num_seqs_run() -> None:
    scheduler = model(seqs=2)
    for key in range(3):
        scheduler.add(Sequence(key, prompt_tokens=5, output_tokens=2))
    scheduler.schedule()
    assert ([s.key for s in scheduler.running], [s.key for s in scheduler.waiting]) == ([0, 1], [2])


def test_a_small_request_does_not_overtake_the_head_of_the_queue() -> None:
    scheduler = model(blocks=10, budget=1000)
    scheduler.add(Sequence(0, prompt_tokens=60, output_tokens=1))
    scheduler.add(Sequence(1, prompt_tokens=60, output_tokens=1))
    scheduler.add(Sequence(2, prompt_tokens=5, output_tokens=1))
    assert scheduler.schedule().admitted == (0,)


def test_out_of_blocks_preempts_the_latest_and_computes_it_again() -> None:
    scheduler = model(blocks=4, block_size=10, budget=100)
    first, second = Sequence(0, prompt_tokens=20, output_tokens=15), Sequence(1, prompt_tokens=20, output_tokens=5)
    scheduler.add(first)
    scheduler.add(second)
    scheduler.complete(scheduler.schedule())
    step = scheduler.schedule()
    assert (step.preempted, second.computed, second.blocks, second.preemptions) == ((1,), 0, 0, 1)
    assert [s.key for s in scheduler.waiting] == [1]


def test_a_request_that_could_never_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit a KV cache of 4 blocks of 10"):
        model(blocks=4).add(Sequence(0, prompt_tokens=40, output_tokens=1))


def test_an_aborted_request_gives_its_blocks_back_and_its_step_counts_for_nothing() -> None:
    scheduler = model()
    scheduler.add(Sequence(0, prompt_tokens=50, output_tokens=5))
    step = scheduler.schedule()
    scheduler.remove(0)
    assert (scheduler.used_blocks, scheduler.complete(step).emitted, scheduler.has_work) == (0, (), False)


def test_a_waiting_request_can_be_aborted() -> None:
    scheduler = model()
    scheduler.add(Sequence(0, prompt_tokens=5, output_tokens=1))
    scheduler.remove(0)
    assert not scheduler.has_work


@dataclass(frozen=True)
class Load:
    limits: Limits
    requests: list[tuple[int, int, int]]
    """Arrival as a step's number, prompt tokens, output tokens; each fits the cache."""


@st.composite
def loads(draw: st.DrawFn) -> Load:
    block_size, blocks = draw(st.integers(1, 16)), draw(st.integers(2, 20))
    capacity = block_size * blocks
    limits = Limits(draw(st.integers(1, 5)), draw(st.integers(1, 64)), blocks, block_size)
    requests = []
    for _ in range(draw(st.integers(1, 10))):
        prompt = draw(st.integers(1, capacity - 1))
        output = draw(st.integers(1, min(30, capacity - prompt)))
        requests.append((draw(st.integers(0, 30)), prompt, output))
    return Load(limits, sorted(requests))


def check_step(scheduler: StepModel) -> None:
    assert scheduler.used_blocks == sum(s.blocks for s in scheduler.running) <= scheduler.limits.num_blocks
    assert all(s.blocks * scheduler.limits.block_size >= s.computed for s in scheduler.running)
    assert all(s.blocks == 0 for s in scheduler.waiting)
    assert len(scheduler.running) <= scheduler.limits.max_num_seqs


@given(loads())
def test_every_request_finishes_with_its_tokens_in_turn_within_the_cache(load: Load) -> None:
    scheduler = StepModel(load.limits, SPEED)
    emitted = dict.fromkeys(range(len(load.requests)), 0)
    admitted: list[int] = []
    finished: list[int] = []
    arriving = list(enumerate(load.requests))
    for at in range(10_000):
        while arriving and arriving[0][1][0] <= at:
            key, (_, prompt, output) = arriving.pop(0)
            scheduler.add(Sequence(key, prompt, output))
        if not scheduler.has_work:
            if not arriving:
                break
            continue
        step = scheduler.schedule()
        check_step(scheduler)
        assert 0 < sum(step.work.values()) <= load.limits.max_num_batched_tokens
        assert step.seconds >= SPEED.decode_step_seconds
        admitted += [key for key in step.admitted if key not in admitted]
        outcome = scheduler.complete(step)
        check_step(scheduler)
        for key in outcome.emitted:
            emitted[key] += 1
        finished += outcome.finished
    assert sorted(finished) == sorted(emitted)
    assert list(emitted.values()) == [output for _, _, output in load.requests]
    assert admitted == sorted(admitted)
    assert scheduler.used_blocks == 0
