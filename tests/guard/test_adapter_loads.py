"""Loads: what the engine may answer, what is tried again, and what a load waits for."""

import asyncio
from pathlib import Path

import pytest

from .adapter_pod import N1, N3, OTHER, V1, AdapterPod, name, virtually
from .vllm import BASE, Load


@pytest.mark.parametrize(
    ("load", "state"),
    [
        (Load(status=500, message="LoRA rank 16 is greater than max_lora_rank 8."), "Failed:RankTooLarge"),
        (Load(status=400, message="LoRA rank 16 is greater than max_lora_rank 8."), "Failed:RankTooLarge"),
        (Load(status=500, message="vLLM does not yet support DoRA."), "Failed:Unsupported"),
        (Load(status=500, message="The size of tensor a (9) must match the size of b"), "Failed:ShapeMismatch"),
        (Load(status=500, message="boom"), "Failed:EngineRefused"),
        (Load(status=400, message="conflicts with a served base model."), "Failed:NameTaken"),
    ],
)
def test_a_refusal_is_final_until_the_adapter_changes(tmp_path: Path, load: Load, state: str) -> None:
    pod = AdapterPod(tmp_path)
    pod.vllm.loads[pod.path(1)] = load

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(2000)
        await pod.put({V1: True, OTHER: True})
        await asyncio.sleep(2000)
        assert await pod.states() == {N1: state, N3: "Loaded"}
        assert (await pod.state())["adapters"][N1]["message"] == load.message
        assert pod.vllm.calls.count(("load", N1)) == 1

    virtually(test)


@pytest.mark.parametrize(
    ("load", "state"),
    [
        (Load(status=404, message="Loading lora a failed: No adapter found for /a"), "Failed:NotFound"),
        (Load(listed=False), "Failed:Unverified"),
        (Load(raises=True, listed=False), "Failed:NoAnswer"),
    ],
)
def test_what_may_be_gone_is_tried_again_with_growing_pauses(tmp_path: Path, load: Load, state: str) -> None:
    pod = AdapterPod(tmp_path)
    pod.vllm.loads[pod.path(1)] = load

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(30)
        assert await pod.states() == {N1: state}
        assert pod.vllm.calls.count(("load", N1)) == 3  # after 1, 7 and 18 s
        pod.vllm.loads.clear()
        await asyncio.sleep(300)
        assert await pod.states() == {N1: "Loaded"}

    virtually(test)


def test_a_load_that_raised_and_is_listed_is_loaded(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)
    pod.vllm.loads[pod.path(1)] = Load(raises=True)

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(5)
        assert await pod.states() == {N1: "Loaded"}

    virtually(test)


def test_a_load_that_could_not_be_verified_is_the_pods_own(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await pod.put({})
        await asyncio.sleep(1)
        pod.vllm.listing_fails = True
        await pod.put({V1: True})
        await asyncio.sleep(20)
        assert await pod.states() == {N1: "Failed:Unverified"}
        pod.vllm.listing_fails = False
        await asyncio.sleep(60)
        assert await pod.weights("legal") == pod.path(1)

    virtually(test)


def test_a_name_that_the_engine_has_with_other_files_is_taken(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)
    pod.vllm.adapters[N1] = "/elsewhere"

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(5)
        assert await pod.states() == {N1: "Failed:NameTaken"}
        assert await pod.weights("legal") is None

    virtually(test)


@pytest.mark.parametrize("taken", ["base", "static"])
def test_an_alias_that_the_engine_serves_itself_is_not_taken_over(tmp_path: Path, taken: str) -> None:
    pod = AdapterPod(tmp_path)
    alias = BASE if taken == "base" else "sales"
    pod.vllm.adapters["sales"] = "/static"

    async def test() -> None:
        await pod.put({(alias, 1): True})
        await asyncio.sleep(5)
        assert await pod.states() == {name(alias, 1): "Loaded:NameTaken"}
        assert (await pod.state())["aliases"] == {}
        assert await pod.weights(alias) == ("/model" if taken == "base" else "/static")

    virtually(test)


def test_two_loads_run_at_a_time(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await pod.put({("a", version): False for version in range(10)})
        await asyncio.sleep(30)
        assert set((await pod.states()).values()) == {"Loaded"}
        assert pod.vllm.most_loading == 2

    virtually(test)


def test_a_held_load_waits_for_running_requests_and_holds_new_ones(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path, hold=True)

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(5)
        running = asyncio.create_task(pod.complete("legal", seconds=10))
        await asyncio.sleep(1)
        await pod.put({V1: True, OTHER: True})
        await asyncio.sleep(1)
        held = asyncio.create_task(pod.complete("legal"))
        assert await pod.weights(BASE) == "/model"
        await asyncio.sleep(5)
        assert not held.done()
        await running
        await held
        assert pod.vllm.beside == []
        await asyncio.sleep(1)
        assert await pod.states() == {N1: "Loaded", N3: "Loaded"}
        assert pod.vllm.calls[-2:] == [("load", N3), ("step", BASE)]

    virtually(test)


def test_a_held_load_gives_up_for_a_while_when_a_request_goes_on(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path, hold=True)

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(5)
        running = asyncio.create_task(pod.complete("legal", seconds=60))
        await asyncio.sleep(1)
        await pod.put({V1: True, OTHER: True})
        await asyncio.sleep(1)
        held = asyncio.create_task(pod.complete("legal"))
        await asyncio.sleep(31)
        assert held.done()
        assert await pod.states() == {N1: "Loaded", N3: "Loading:Busy"}
        await running
        await asyncio.sleep(10)
        assert await pod.states() == {N1: "Loaded", N3: "Loaded"}
        assert pod.vllm.beside == []

    virtually(test)
