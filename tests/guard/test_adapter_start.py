"""An engine that starts: the table's file, and when the pod is ready."""

import asyncio
from pathlib import Path

import pytest

from .adapter_pod import N3, OTHER, V1, AdapterPod, virtually
from .vllm import Load


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
