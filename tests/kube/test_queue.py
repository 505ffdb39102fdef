import asyncio
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from looptime import new_event_loop

from slmfleet.kube.queue import Result, WorkQueue
from slmfleet.kube.resources import Key

pytestmark = pytest.mark.looptime

A, B = ("chat", "a"), ("chat", "b")


def now() -> float:
    return asyncio.get_running_loop().time()


class Worker:
    """A handler that takes `seconds` for a key and ends as told; keeps what it was asked to do, and when."""

    def __init__(self, seconds: float = 0.0, *results: Result) -> None:
        self.seconds = seconds
        self.results = list(results)
        self.starts: list[tuple[float, Key]] = []
        self.running: Counter[Key] = Counter()

    async def __call__(self, key: Key) -> Result:
        self.starts.append((round(now(), 3), key))
        self.running[key] += 1
        assert self.running[key] == 1, "two at once"
        await asyncio.sleep(self.seconds)
        self.running[key] -= 1
        return self.results.pop(0) if self.results else Result()


class NoJitter(Random):
    def random(self) -> float:
        return 1.0


async def run(queue: WorkQueue, worker: Worker, seconds: float, workers: int = 2) -> None:
    task = asyncio.create_task(queue.run(worker, workers))
    await asyncio.sleep(seconds)
    await queue.stop(0.0)
    await task


async def test_a_key_that_waits_is_not_added_twice() -> None:
    queue, worker = WorkQueue(NoJitter()), Worker()
    for key in (A, B, A):
        queue.add(key)
    assert queue.depth == 2
    await run(queue, worker, 1)
    assert worker.starts == [(0, A), (0, B)]


async def test_a_key_that_is_added_while_it_is_worked_on_runs_once_more_afterwards() -> None:
    queue, worker = WorkQueue(NoJitter()), Worker(2.0)
    queue.add(A)
    for _ in range(3):
        asyncio.get_running_loop().call_later(1, queue.add, A)
    await run(queue, worker, 10)
    assert worker.starts == [(0, A), (2, A)]


async def test_no_more_keys_than_workers_at_the_same_time() -> None:
    queue, worker = WorkQueue(NoJitter()), Worker(1.0)
    for number in range(5):
        queue.add(("chat", str(number)))
    await run(queue, worker, 10, workers=2)
    assert [at for at, _ in worker.starts] == [0, 0, 1, 1, 2]


async def test_failures_back_off_exponentially_to_a_limit_and_success_resets() -> None:
    queue = WorkQueue(NoJitter())
    worker = Worker(0.0, *[Result(failed=True)] * 12, Result(), Result(failed=True))
    queue.add(A)
    asyncio.get_running_loop().call_later(5000, queue.add, A)
    await run(queue, worker, 5001)
    waits = [round(b - a, 3) for (a, _), (b, _) in zip(worker.starts, worker.starts[1:], strict=False)]
    assert waits[:12] == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert waits[-1] == 0.5


async def test_an_exception_is_a_failure_of_its_key_and_of_no_other(caplog: pytest.LogCaptureFixture) -> None:
    queue = WorkQueue(NoJitter())
    starts: list[tuple[float, Key]] = []

    async def handler(key: Key) -> Result:
        starts.append((now(), key))
        if key == A and len(starts) < 3:
            raise ValueError("boom")
        return Result()

    queue.add(A)
    queue.add(B)
    task = asyncio.create_task(queue.run(handler, 1))
    await asyncio.sleep(10)
    await queue.stop(0)
    await task
    assert starts == [(0, A), (0, B), (0.5, A)]
    assert "boom" in caplog.text


async def test_the_servers_wish_to_wait_is_the_least_delay_after_a_failure() -> None:
    queue, worker = WorkQueue(NoJitter()), Worker(0.0, Result(7.0, failed=True))
    queue.add(A)
    await run(queue, worker, 10)
    assert worker.starts == [(0, A), (7, A)]


async def test_news_about_a_failing_key_runs_it_after_a_second_not_at_once() -> None:
    queue, worker = WorkQueue(NoJitter()), Worker(0.0, *[Result(failed=True)] * 5)
    queue.add(A)  # fails at 0, 0.5, 1.5, 3.5 and 7.5; would be due at 15.5
    for _ in range(3):
        asyncio.get_running_loop().call_later(8, queue.add, A)
    await run(queue, worker, 20)
    assert worker.starts[-1] == (9, A)


async def test_of_two_delays_the_earlier_one_wins() -> None:
    queue, worker = WorkQueue(NoJitter()), Worker()
    queue.add_after(A, 5)
    queue.add_after(A, 2)
    queue.add_after(A, 9)
    await run(queue, worker, 20)
    assert worker.starts == [(2, A)]


async def test_the_end_of_a_run_sets_the_next_one() -> None:
    queue, worker = WorkQueue(NoJitter()), Worker(0.0, Result(30.0))
    queue.add(A)
    await run(queue, worker, 100)
    assert worker.starts == [(0, A), (30, A)]


async def test_a_forgotten_key_starts_afresh() -> None:
    queue, worker = WorkQueue(NoJitter()), Worker(0.0, *[Result(failed=True)] * 4)
    queue.add(A)  # fails at 0, 0.5, 1.5 and 3.5; would be due at 7.5
    asyncio.get_running_loop().call_later(5, queue.forget, A)
    asyncio.get_running_loop().call_later(9, queue.add, A)
    await run(queue, worker, 20)
    assert worker.starts[-1] == (9, A)
    assert len(worker.starts) == 5


async def test_stopping_lets_running_work_finish_and_starts_no_more() -> None:
    queue, worker = WorkQueue(NoJitter()), Worker(3.0)
    queue.add(A)
    queue.add_after(B, 2)
    task = asyncio.create_task(queue.run(worker, 2))
    await asyncio.sleep(1)
    assert await queue.stop(20) is True
    assert now() == 3
    await task
    queue.add(B)
    await asyncio.sleep(10)
    assert worker.starts == [(0, A)]
    assert worker.running[A] == 0


async def test_work_that_does_not_end_in_time_is_cut_off() -> None:
    queue, worker = WorkQueue(NoJitter()), Worker(100.0)
    queue.add(A)
    task = asyncio.create_task(queue.run(worker, 1))
    await asyncio.sleep(1)
    assert await queue.stop(20) is False
    assert now() == 21
    await task


async def test_the_ages_of_waiting_and_running_work_are_known() -> None:
    queue, worker = WorkQueue(NoJitter()), Worker(10.0)
    assert (queue.oldest_wait(), queue.longest_run()) == (0, 0)
    queue.add(A)
    queue.add(B)
    task = asyncio.create_task(queue.run(worker, 1))
    await asyncio.sleep(4)
    assert (queue.depth, queue.oldest_wait(), queue.longest_run()) == (1, 4, 4)
    await queue.stop(0)
    await task


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "later", "fail", "slow", "wait"]),
        st.integers(0, 3),
        st.floats(0, 5, allow_nan=False),
    ),
    max_size=60,
)


@given(steps=STEPS, workers=st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_no_news_is_lost_and_no_key_runs_twice_at_once(steps: list[tuple[str, int, float]], workers: int) -> None:
    async def scenario() -> None:
        queue = WorkQueue(Random(1))
        running: Counter[Key] = Counter()
        dirty: set[Key] = set()
        fails: Counter[Key] = Counter()
        pace = [0.0]

        async def handler(key: Key) -> Result:
            running[key] += 1
            assert running[key] == 1
            dirty.discard(key)  # whatever was said before the start is seen by this run
            await asyncio.sleep(pace[0])
            running[key] -= 1
            if fails[key] > 0:
                fails[key] -= 1
                dirty.add(key)  # a failed run owes another one
                return Result(failed=True)
            return Result()

        task = asyncio.create_task(queue.run(handler, workers))
        for what, number, amount in steps:
            key = ("chat", str(number))
            if what == "add":
                dirty.add(key)
                queue.add(key)
            elif what == "later":
                dirty.add(key)
                queue.add_after(key, amount)
            elif what == "fail":
                fails[key] += 1
            elif what == "slow":
                pace[0] = amount
            else:
                await asyncio.sleep(amount)
        await asyncio.sleep(100_000)
        assert dirty == set()
        assert queue.depth == 0
        assert await queue.stop(0)
        await task

    loop = new_event_loop(start=0)
    try:
        loop.run_until_complete(scenario())
    finally:
        loop.close()


@pytest.mark.parametrize("during", [True, False])
async def test_no_news_shortens_the_pause_that_the_server_asked_for(during: bool) -> None:
    queue, worker = WorkQueue(NoJitter()), Worker(1.0, Result(failed=True, pause=7.0))
    queue.add(A)
    loop = asyncio.get_running_loop()
    loop.call_later(0.5 if during else 2.0, queue.add, A)
    loop.call_later(3.0, queue.add_after, A, 0.1)
    await run(queue, worker, 20)
    assert worker.starts == [(0, A), (8, A)]


async def test_a_pause_ends_with_its_object() -> None:
    queue, worker = WorkQueue(NoJitter()), Worker(0.0, Result(failed=True, pause=700.0))
    queue.add(A)
    loop = asyncio.get_running_loop()
    loop.call_later(2.0, queue.forget, A)
    loop.call_later(3.0, queue.add, A)
    await run(queue, worker, 20)
    assert worker.starts == [(0, A), (3, A)]
