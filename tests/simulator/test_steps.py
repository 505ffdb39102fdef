from collections import deque
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.simulator.records import EngineModel
from slmfleet.simulator.steps import StepModel

from .naive import Naive
from .naive import Sequence as Reference


def model(*, seqs: int = 4, budget: int = 100, blocks: int = 100, block_size: int = 10, **changes: Any) -> StepModel:
    """20 ms per step and 1,000 prompt tokens per second."""
    limits = {"max_num_seqs": seqs, "max_num_batched_tokens": budget, "block_size": block_size} | changes
    return StepModel(EngineModel(num_blocks=blocks, a=0.02, p=0.001, **limits))


def steps_until_idle(scheduler: StepModel) -> list[tuple[float, tuple[int, ...], tuple[int, ...]]]:
    """Seconds, emitted and finished of every step."""
    seen = []
    while scheduler.has_work:
        step = scheduler.schedule()
        outcome = scheduler.complete()
        seen.append((step.seconds, outcome.emitted, outcome.finished))
    return seen


def test_a_prefill_step_takes_the_decode_step_plus_its_prompt_tokens() -> None:
    scheduler = model()
    scheduler.add(0, prompt_tokens=50, output_tokens=2)
    steps = steps_until_idle(scheduler)
    assert [seconds for seconds, _, _ in steps] == pytest.approx([0.07, 0.02])
    assert [outcome for _, *outcome in steps] == [[(0,), ()], [(0,), (0,)]]


def test_a_prompt_longer_than_the_budget_is_computed_in_chunks_and_emits_after_the_last() -> None:
    scheduler = model(budget=100)
    scheduler.add(0, prompt_tokens=250, output_tokens=1)
    assert [emitted for _, emitted, _ in steps_until_idle(scheduler)] == [(), (), (0,)]


def test_decodes_come_before_a_new_prompt_and_share_its_step() -> None:
    scheduler = model(budget=100)
    scheduler.add(0, prompt_tokens=10, output_tokens=3)
    (scheduler.schedule(), scheduler.complete())
    scheduler.add(1, prompt_tokens=200, output_tokens=1)
    assert scheduler.schedule().prefill_tokens == 99
    assert scheduler.complete().emitted == (0,)


def test_no_more_than_max_num_seqs_run() -> None:
    scheduler = model(seqs=2)
    for key in range(3):
        scheduler.add(key, prompt_tokens=5, output_tokens=2)
    scheduler.schedule()
    assert (scheduler.running, scheduler.waiting) == ([0, 1], [2])


def test_a_small_request_does_not_overtake_the_head_of_the_queue() -> None:
    scheduler = model(blocks=10, budget=1000)
    scheduler.add(0, prompt_tokens=60, output_tokens=1)
    scheduler.add(1, prompt_tokens=60, output_tokens=1)
    scheduler.add(2, prompt_tokens=5, output_tokens=1)
    assert scheduler.schedule().admitted == (0,)


def test_out_of_blocks_preempts_the_latest_and_computes_it_again() -> None:
    scheduler = model(blocks=4, block_size=10, budget=100)
    scheduler.add(0, prompt_tokens=20, output_tokens=15)
    second = scheduler.add(1, prompt_tokens=20, output_tokens=5)
    (scheduler.schedule(), scheduler.complete())
    step = scheduler.schedule()
    assert (step.preempted, second.generated, second.preemptions) == (1, 1, 1)
    assert (scheduler.running, scheduler.waiting, scheduler.state.used_blocks) == ([0], [1], 3)


def test_a_prompt_waits_until_all_of_it_fits_unless_told_otherwise() -> None:
    for reserve, admitted in ((True, ()), (False, (1,))):
        scheduler = model(blocks=10, budget=50, reserve_full_prompt=reserve)
        scheduler.add(0, prompt_tokens=40, output_tokens=5)
        (scheduler.schedule(), scheduler.complete())
        scheduler.add(1, prompt_tokens=70, output_tokens=5)
        assert scheduler.schedule().admitted == admitted


def test_a_request_that_could_never_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit a KV cache of 4 blocks of 10"):
        model(blocks=4).add(0, prompt_tokens=40, output_tokens=1)


def test_an_aborted_request_gives_its_blocks_back_and_its_step_counts_for_nothing() -> None:
    scheduler = model()
    scheduler.add(0, prompt_tokens=50, output_tokens=5)
    scheduler.schedule()
    scheduler.remove(0)
    assert (scheduler.state.used_blocks, scheduler.complete().emitted, scheduler.has_work) == (0, (), False)


def test_a_waiting_request_can_be_aborted() -> None:
    scheduler = model()
    scheduler.add(0, prompt_tokens=5, output_tokens=1)
    scheduler.remove(0)
    assert not scheduler.has_work


@dataclass(frozen=True)
class Load:
    model: EngineModel
    requests: list[tuple[int, int, int, list[int]]]
    """Arrival as a step's number, prompt tokens, output tokens, hashes; each fits the cache."""


@st.composite
def loads(draw: st.DrawFn, prefix_blocks: int = 0) -> Load:
    block_size, blocks = draw(st.integers(1, 8)), draw(st.integers(3, 20))
    capacity = block_size * blocks
    seqs = draw(st.integers(1, 5))
    model = EngineModel(
        num_blocks=blocks,
        a=0.02,
        p=0.001,
        d=0.0005,
        kappa=0.0001,
        max_num_seqs=seqs,
        max_num_batched_tokens=draw(st.integers(seqs, 64)),
        block_size=block_size,
        reserve_full_prompt=draw(st.booleans()),
        prefix_blocks=prefix_blocks,
    )
    requests = []
    for _ in range(draw(st.integers(1, 10))):
        prompt = draw(st.integers(1, capacity - 1))
        output = draw(st.integers(1, min(30, capacity - prompt)))
        full = prompt // (prefix_blocks * block_size) if prefix_blocks else 0
        hashes = [place * 3 + draw(st.integers(0, 2)) for place in range(full)]
        requests.append((draw(st.integers(0, 30)), prompt, output, hashes))
    return Load(model, sorted(requests))


def check(scheduler: StepModel) -> None:
    assert 0 <= scheduler.state.used_blocks <= scheduler.model.num_blocks
    assert (
        scheduler.state.used_blocks + scheduler.state.idle * scheduler.model.prefix_blocks <= scheduler.model.num_blocks
    )
    assert len(scheduler.running) <= scheduler.model.max_num_seqs
    assert len(scheduler.waiting) == scheduler.state.waiting


@given(st.one_of(loads(), loads(1), loads(2)))
def test_every_request_finishes_with_its_tokens_in_turn_within_the_cache(load: Load) -> None:
    scheduler = StepModel(load.model)
    emitted = dict.fromkeys(range(len(load.requests)), 0)
    admitted: list[int] = []
    finished: list[int] = []
    arriving = list(enumerate(load.requests))
    for at in range(10_000):
        while arriving and arriving[0][1][0] <= at:
            key, (_, prompt, output, hashes) = arriving.pop(0)
            scheduler.add(key, prompt, output, hashes)
        if not scheduler.has_work:
            if not arriving:
                break
            continue
        step = scheduler.schedule()
        check(scheduler)
        assert step.prefill_tokens <= load.model.max_num_batched_tokens
        assert step.seconds >= load.model.a
        admitted += [key for key in step.admitted if key not in admitted]
        outcome = scheduler.complete()
        check(scheduler)
        for key in outcome.emitted:
            emitted[key] += 1
        finished += outcome.finished
    assert sorted(finished) == sorted(emitted)
    assert list(emitted.values()) == [output for _, _, output, _ in load.requests]
    assert admitted == sorted(admitted)
    assert scheduler.state.used_blocks == 0
    assert scheduler.state.context == 0


@given(loads())
def test_every_step_is_that_of_a_scheduler_that_derives_nothing(load: Load) -> None:
    model, naive = StepModel(load.model), Naive(load.model)
    arriving = deque(enumerate(load.requests))
    at = 0
    while arriving or model.has_work:
        while arriving and arriving[0][1][0] <= at:
            key, (_, prompt, output, _) = arriving.popleft()
            model.add(key, prompt, output)
            naive.waiting.append(Reference(key, prompt, output))
        at += 1
        if model.has_work:
            step, (seconds, emitted, done) = model.schedule(), naive.step()
            outcome = model.complete()
            assert step.seconds == pytest.approx(seconds)
            assert (outcome.emitted, outcome.finished) == (tuple(emitted), tuple(done))
            assert model.running == [sequence.key for sequence in naive.running]
            assert model.waiting == [sequence.key for sequence in naive.waiting]
            assert model.state.used_blocks == load.model.num_blocks - naive.free


def test_a_prompt_whose_prefix_was_computed_before_takes_only_the_rest() -> None:
    scheduler = model(prefix_blocks=2)
    for key in range(2):
        request = scheduler.add(key, prompt_tokens=50, output_tokens=1, hashes=[7, 8])
        assert scheduler.schedule().prefill_tokens == (50, 10)[key]
        assert scheduler.complete().finished == (key,)
    assert request.cached == 40


def test_two_that_share_a_prefix_hold_its_blocks_once() -> None:
    scheduler = model(prefix_blocks=2)
    for key in range(2):
        scheduler.add(key, prompt_tokens=41, output_tokens=5, hashes=[7, 8])
        (scheduler.schedule(), scheduler.complete())
    assert scheduler.state.used_blocks == 4 + 2 * 1


def test_the_least_recently_used_prefix_is_evicted_first_and_its_end_before_its_beginning() -> None:
    scheduler = model(blocks=10, prefix_blocks=2)
    for key, hashes in enumerate(
        ([1, 2], [3, 4], [5])
    ):  # 10 blocks hold five hashes; the rest of each prompt needs one
        scheduler.add(key, prompt_tokens=20 * len(hashes) + 5, output_tokens=1, hashes=hashes)
        (scheduler.schedule(), scheduler.complete())
    found = []
    for key, hashes in ((10, [5]), (11, [3, 4]), (12, [1, 2])):
        found.append(scheduler.add(key, prompt_tokens=20 * len(hashes) + 1, output_tokens=1, hashes=hashes))
        (scheduler.schedule(), scheduler.complete())
    assert [sequence.cached for sequence in found] == [20, 40, 20]
