"""An engine that starts: the table's file, and when the pod is ready."""

import asyncio
from pathlib import Path

import pytest

from .adapter_pod import N1, N3, OTHER, V1, V2, AdapterPod, virtually
from .vllm import Load


def starting(root: Path) -> AdapterPod:
    """A pod whose file has the first version."""
    return AdapterPod(root, file=AdapterPod(root).table({V1: True}))


def test_the_file_is_loaded_before_the_pod_is_healthy(tmp_path: Path) -> None:
    pod = starting(tmp_path)
    pod.vllm.up = False

    async def test() -> None:
        assert (await pod.call("GET", "/health")).status == 503
        await asyncio.sleep(20)
        pod.vllm.up = True
        await asyncio.sleep(1)
        assert (await pod.call("GET", "/health")).status == 503
        await pod.put({V1: True})
        await asyncio.sleep(1)
        assert (await pod.call("GET", "/health")).status == 200
        assert await pod.weights("legal") == pod.path(1)

    virtually(test)


def test_what_the_file_says_waits_10_seconds_for_an_operator_that_knows_better(tmp_path: Path) -> None:
    pod = starting(tmp_path)

    async def test() -> None:
        await pod.call("GET", "/health")
        await asyncio.sleep(9.5)
        assert await pod.states() == {N1: "Loaded"}
        assert (await pod.call("GET", "/health")).status == 503
        await asyncio.sleep(1)
        assert (await pod.call("GET", "/health")).status == 200

    virtually(test)


def test_an_operator_that_answers_makes_the_pod_ready_with_what_it_says(tmp_path: Path) -> None:
    pod = starting(tmp_path)

    async def test() -> None:
        await pod.call("GET", "/health")
        await asyncio.sleep(5)
        await pod.put({V2: True})
        await asyncio.sleep(0.1)
        assert (await pod.call("GET", "/health")).status == 503
        await asyncio.sleep(2)
        assert (await pod.call("GET", "/health")).status == 200
        assert await pod.weights("legal") == pod.path(2)

    virtually(test)


def test_before_the_pod_is_ready_no_client_is_told_that_there_is_no_such_model(tmp_path: Path) -> None:
    pod = starting(tmp_path)

    async def test() -> None:
        assert (await pod.complete("legal")).status == 503
        await asyncio.sleep(0.1)
        asked = [(await pod.complete(model)).status for model in ("legal", "tiny", "nobody")]
        assert asked == [503, 200, 503]
        await asyncio.sleep(20)
        asked = [(await pod.complete(model)).status for model in ("legal", "tiny", "nobody")]
        assert asked == [200, 200, 404]

    virtually(test)


def test_of_the_placed_adapters_in_the_file_those_of_this_pod_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slmfleet.guard.adapters.gethostname", lambda: "support-2")
    entries = AdapterPod(tmp_path).table({V1: True, OTHER: True})["adapters"]
    pods = {N1: ["support-1"], N3: ["support-1", "support-2"]}
    placed = {name: {**entry, "pods": pods[name]} for name, entry in entries.items()}
    pod = AdapterPod(tmp_path, file={"adapters": {}, "placed": placed})

    async def test() -> None:
        await pod.call("GET", "/health")
        await asyncio.sleep(5)
        assert await pod.states() == {N3: "Loaded"}

    virtually(test)


def test_a_slow_adapter_keeps_the_pod_unready_for_a_minute(tmp_path: Path) -> None:
    pod = starting(tmp_path)
    pod.vllm.loads[pod.path(1)] = Load(seconds=100)

    async def test() -> None:
        assert (await pod.call("GET", "/health")).status == 503
        await asyncio.sleep(59)
        assert (await pod.call("GET", "/health")).status == 503
        await asyncio.sleep(2)
        assert (await pod.call("GET", "/health")).status == 200

    virtually(test)


@pytest.mark.parametrize(
    "file", [None, [], {"adapters": {"x": {}}}, {"adapters": {}, "placed": {"x": {}}}, {"adapters": {}, "placed": []}]
)
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
    pod = starting(tmp_path)
    pod.vllm.up = False

    async def test() -> None:
        await pod.put({OTHER: True})
        pod.vllm.up = True
        await asyncio.sleep(10)
        assert await pod.states() == {N3: "Loaded"}

    virtually(test)
