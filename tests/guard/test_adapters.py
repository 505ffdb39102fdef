"""Which adapters a pod has and which names answer: what the adapters' agent makes of a table and of the next one."""

import asyncio
import json
from pathlib import Path

from .adapter_pod import N1, V1, V2, AdapterPod, digest, virtually
from .asgi import WITH_TOKEN, Answer
from .vllm import BASE, Load


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


def closes(answer: Answer) -> bool:
    return answer.headers.get(b"connection") == b"close"


def test_clients_of_an_adapter_that_is_to_go_are_sent_elsewhere_with_their_answers(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(5)
        assert not closes(await pod.complete("legal"))
        table = pod.table({V1: True})
        table["adapters"][N1]["leaving"] = True
        assert (await pod.call("PUT", "/slmfleet/adapters", table, WITH_TOKEN)).status == 202
        answer = await pod.complete("legal")
        assert (answer.status, closes(answer)) == (200, True)
        assert not closes(await pod.complete(BASE))

    virtually(test)


def test_a_client_that_asks_for_what_this_pod_lacks_may_find_it_elsewhere(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await pod.put({V1: True})
        await asyncio.sleep(5)
        answer = await pod.complete("sales")
        assert (answer.status, closes(answer)) == (404, True)

    virtually(test)
