import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from slmfleet.simulator import texts
from slmfleet.simulator.engine import Engine, EngineDeadError, EngineDrainingError, State
from slmfleet.simulator.faults import Faults
from slmfleet.simulator.openai import Generation

from .building import engine, generation

pytestmark = pytest.mark.looptime


@asynccontextmanager
async def running(made: Engine) -> AsyncIterator[Engine]:
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()


async def times(made: Engine, request: Generation) -> list[float]:
    """When each token of a request came, in seconds from now."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    with made.generate(request) as tokens:
        return [round(loop.time() - start, 3) async for _ in tokens]


def sample(made: Engine, name: str, **labels: str) -> float | None:
    return made.metrics.registry.get_sample_value(f"vllm:{name}", {"model_name": "tiny", "engine": "0", **labels})


async def test_ttft_is_the_prefill_step_and_itl_the_decode_step() -> None:
    async with running(engine()) as made:
        assert await times(made, generation(100, 3)) == [0.2, 0.3, 0.4]


async def test_a_request_waits_for_a_slot() -> None:
    async with running(engine(max_num_seqs=1)) as made:
        first, second = await asyncio.gather(times(made, generation(100, 2)), times(made, generation(100, 1)))
        assert (first, second) == ([0.2, 0.3], [0.5])
        assert sample(made, "request_queue_time_seconds_sum") == pytest.approx(0.3)


async def test_the_slow_factor_stretches_every_step() -> None:
    async with running(engine(Faults(slow_factor=10.0))) as made:
        assert await times(made, generation(100, 2)) == [2.0, 3.0]


async def test_a_stalled_engine_goes_on_when_the_fault_ends() -> None:
    async with running(engine(Faults(stall=True))) as made:
        request = asyncio.create_task(times(made, generation(100, 1)))
        await asyncio.sleep(5.0)
        assert sample(made, "iteration_tokens_total_count") == 0.0
        made.set_faults(Faults())
        assert await request == [5.2]


async def test_gauges_show_running_waiting_and_cache_while_it_works() -> None:
    async with running(engine(max_num_seqs=1)) as made:
        requests = [asyncio.create_task(times(made, generation(128, 2))) for _ in range(3)]
        await asyncio.sleep(0.1)
        names = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
        assert [sample(made, name) for name in names] == [1.0, 2.0, 8 / 64]
        await asyncio.gather(*requests)
        assert [sample(made, name) for name in names] == [0.0, 0.0, 0.0]


async def test_a_finished_request_is_in_the_histograms_once() -> None:
    async with running(engine()) as made:
        await times(made, generation(100, 3))
        assert sample(made, "time_to_first_token_seconds_sum") == pytest.approx(0.2)
        assert sample(made, "inter_token_latency_seconds_sum") == pytest.approx(0.2)
        assert sample(made, "e2e_request_latency_seconds_count") == 1.0
        assert sample(made, "request_success_total", finished_reason="length") == 1.0
        assert sample(made, "iteration_tokens_total_sum") == 103.0


async def test_a_client_that_leaves_aborts_its_request_and_frees_the_cache() -> None:
    async with running(engine()) as made:
        request = asyncio.create_task(times(made, generation(100, 50)))
        await asyncio.sleep(1.0)
        request.cancel()
        await asyncio.wait([request])
        assert (made.unfinished, made.model.state.used_blocks) == (0, 0)
        assert sample(made, "request_success_total", finished_reason="abort") == 1.0


async def test_draining_finishes_what_runs_and_refuses_what_is_new() -> None:
    async with running(engine()) as made:
        request = asyncio.create_task(times(made, generation(100, 3)))
        await asyncio.sleep(0.1)
        made.state = State.DRAINING
        with pytest.raises(EngineDrainingError), made.generate(generation()):
            pass
        await made.drained()
        assert await request == [0.2, 0.3, 0.4]


async def test_engine_death_fails_what_runs_and_what_comes() -> None:
    async with running(engine()) as made:
        request = asyncio.create_task(times(made, generation(100, 50)))
        await asyncio.sleep(0.5)
        made.die()
        with pytest.raises(EngineDeadError):
            await request
        with pytest.raises(EngineDeadError), made.generate(generation()):
            pass


async def test_an_idle_engine_steps_nothing() -> None:
    async with running(engine()) as made:
        await asyncio.sleep(3600.0)
        assert sample(made, "iteration_tokens_total_count") == 0.0
        assert await times(made, generation(100, 1)) == [0.2]


async def test_a_prompt_seen_before_is_found_in_the_prefix_cache_and_counted() -> None:
    hashes = texts.block_hashes("once upon a time " * 24, 16)  # 408 bytes: six blocks of 64
    async with running(engine(prefix_blocks=1)) as made:
        assert await times(made, generation(102, 1, hashes=hashes)) == [0.202]
        assert await times(made, generation(102, 1, hashes=hashes)) == [0.106]
        names = ("prefix_cache_queries_total", "prefix_cache_hits_total", "prompt_tokens_cached_total")
        assert [sample(made, name) for name in names] == [204.0, 96.0, 96.0]


def test_equal_beginnings_have_equal_hashes_as_text_and_as_tokens() -> None:
    for one, other in (("a" * 200, "a" * 130 + "b" * 70), (list(range(40)), [*range(33), *range(50, 57)])):
        first, second = texts.block_hashes(one, 16), texts.block_hashes(other, 16)
        assert [a == b for a, b in zip(first, second, strict=True)] == [True, True, *[False] * (len(first) - 2)]
        assert min(first) >= 0
