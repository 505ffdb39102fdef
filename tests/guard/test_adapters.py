"""What the adapters' agent does with tables, loads, aliases and running requests."""

import asyncio
import json
from pathlib import Path

import pytest

from .adapter_pod import AdapterPod, digest, name, virtually
from .asgi import WITH_TOKEN
from .vllm import BASE, Load

V1, V2, OTHER = ("legal", 1), ("legal", 2), ("sales", 3)
N1, N2, N3 = name(*V1), name(*V2), name(*OTHER)


def test_an_adapter_of_the_table_is_loaded_and_answers_under_its_alias(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        state = await pod.put({V1: True})
        assert state["adapters"][N1] == {
            "path": pod.path(1), "state": "Loading", "reason": "", "message": "", "seconds": 0.0, "running": 0,
        }  # fmt: skip
        assert (state["aliases"], state["table"]) == ({}, digest(pod.table({V1: True})))
        assert await pod.weights("legal") is None
        await asyncio.sleep(5)
        state = await pod.state()
        assert (state["adapters"][N1]["state"], state["adapters"][N1]["seconds"]) == ("Loaded", 1.0)
        assert (state["aliases"], state["ready"]) == ({"legal": N1}, True)
        assert await pod.weights("legal") == pod.path(1)
        assert await pod.weights(BASE) == "/model"

    virtually(test)


def test_an_alias_moves_when_its_new_target_is_loaded_and_back_at_once(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)
    pod.vllm.loads[pod.path(2)] = Load(seconds=20)

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(5)
        await pod.put({V1: False, V2: True})
        await asyncio.sleep(10)
        assert await pod.weights("legal") == pod.path(1)
        await asyncio.sleep(15)
        assert await pod.weights("legal") == pod.path(2)
        await pod.put({V1: True, V2: False})
        assert await pod.weights("legal") == pod.path(1)

    virtually(test)


def test_what_the_table_lacks_loses_its_alias_and_is_unloaded_after_its_requests(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(5)
        running = asyncio.create_task(pod.complete("legal", seconds=100))
        await asyncio.sleep(1)
        state = await pod.put({})
        assert (state["adapters"][N1]["state"], state["adapters"][N1]["running"]) == ("Draining", 1)
        assert await pod.weights("legal") is None
        await asyncio.sleep(90)
        assert list(pod.vllm.adapters) == [N1]
        assert json.loads((await running).body)["weights"] == pod.path(1)
        await asyncio.sleep(1)
        assert (pod.vllm.adapters, await pod.states()) == ({}, {})

    virtually(test)


def test_an_endless_request_keeps_an_adapter_for_five_minutes(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(5)
        running = asyncio.create_task(pod.complete("legal", seconds=1000))
        await asyncio.sleep(1)
        await pod.put({})
        await asyncio.sleep(299)
        assert pod.vllm.cut == []
        await asyncio.sleep(2)
        assert pod.vllm.cut == [N1]
        assert json.loads((await running).body)["weights"] == pod.path(1)

    virtually(test)


def test_an_adapter_that_comes_back_while_it_drains_is_not_loaded_again(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(5)
        running = asyncio.create_task(pod.complete("legal", seconds=10))
        await asyncio.sleep(1)
        await pod.put({})
        assert (await pod.put({V1: True}))["aliases"] == {"legal": N1}
        await running
        await asyncio.sleep(5)
        assert pod.vllm.calls == [("load", N1)]

    virtually(test)


def test_a_name_with_another_path_is_drained_before_it_is_loaded_from_there(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(5)
        table = {"adapters": {N1: {"path": pod.path(9), "alias": "legal"}}}
        assert (await pod.call("PUT", "/slmfleet/adapters", table, WITH_TOKEN)).status == 202
        assert await pod.weights("legal") is None
        await asyncio.sleep(5)
        assert await pod.weights("legal") == pod.path(9)
        assert pod.vllm.calls == [("load", N1), ("unload", N1), ("load", N1)]

    virtually(test)


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


def test_an_adapter_that_the_engine_lost_is_loaded_again(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(5)
        pod.vllm.adapters.clear()
        await asyncio.sleep(40)
        assert await pod.weights("legal") == pod.path(1)

    virtually(test)


def test_an_adapter_that_leaves_the_table_while_it_loads_is_unloaded(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(0.5)
        await pod.put({})
        await asyncio.sleep(5)
        assert (pod.vllm.adapters, await pod.states()) == ({}, {})

    virtually(test)


def test_the_file_is_loaded_before_the_pod_is_healthy(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)
    pod = AdapterPod(tmp_path, file=pod.table({V1: True}))
    pod.vllm.up = False

    async def test() -> None:
        assert (await pod.call("GET", "/health")).status == 503
        await asyncio.sleep(20)
        pod.vllm.up = True
        await asyncio.sleep(1)
        assert (await pod.call("GET", "/health")).status == 503
        await asyncio.sleep(1)
        assert (await pod.call("GET", "/health")).status == 200
        assert await pod.weights("legal") == pod.path(1)

    virtually(test)


def test_a_slow_adapter_keeps_the_pod_unready_for_a_minute(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)
    pod = AdapterPod(tmp_path, file=pod.table({V1: True}))
    pod.vllm.loads[pod.path(1)] = Load(seconds=100)

    async def test() -> None:
        assert (await pod.call("GET", "/health")).status == 503
        await asyncio.sleep(59)
        assert (await pod.call("GET", "/health")).status == 503
        await asyncio.sleep(2)
        assert (await pod.call("GET", "/health")).status == 200

    virtually(test)


@pytest.mark.parametrize("file", [None, [], {"adapters": {"x": {}}}])
def test_without_a_valid_file_the_pod_is_ready_at_once(
    tmp_path: Path, file: object, capsys: pytest.CaptureFixture[str]
) -> None:
    pod = AdapterPod(tmp_path, file=file)

    async def test() -> None:
        assert (await pod.call("GET", "/health")).status == 503
        await asyncio.sleep(0.1)
        assert (await pod.call("GET", "/health")).status == 200

    virtually(test)
    assert ("table.json is not used: " in capsys.readouterr().err) == (file is not None)


def test_from_the_first_push_on_the_file_counts_no_more(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)
    pod = AdapterPod(tmp_path, file=pod.table({V1: True}))
    pod.vllm.up = False

    async def test() -> None:
        await pod.put({OTHER: True})
        pod.vllm.up = True
        await asyncio.sleep(10)
        assert await pod.states() == {N3: "Loaded"}

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
