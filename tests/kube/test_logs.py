import asyncio

import pytest

from slmfleet.kube.errors import RefusedError, TransientError
from slmfleet.kube.logs import BYTES, Logs

from .fake import FakeClient

pytestmark = pytest.mark.looptime


async def tail(logs: Logs, key: str = "uid/3") -> str:
    return await logs.tail("chat", "support-1", "engine", key=key)


async def test_a_death_is_read_once() -> None:
    client = FakeClient()
    client.logs["support-1", True] = b"CUDA out of memory\n"
    logs = Logs(client)
    assert await tail(logs) == "CUDA out of memory\n"
    client.logs["support-1", True] = b"something else\n"
    assert await tail(logs) == "CUDA out of memory\n"
    assert await tail(logs, "uid/4") == "something else\n"
    assert client.count("log", "Pod") == 2


@pytest.mark.parametrize(
    "error", [RefusedError("previous terminated container not found"), TransientError("kubelet is away")]
)
async def test_an_absent_log_is_empty_and_asked_for_again_after_a_minute(error: Exception) -> None:
    client = FakeClient()
    client.logs["support-1", True] = error  # type: ignore[assignment]
    logs = Logs(client)
    assert await tail(logs) == ""
    client.logs["support-1", True] = b"found"
    assert await tail(logs) == ""
    await asyncio.sleep(61)
    assert await tail(logs) == "found"


async def test_the_end_of_a_long_log_is_kept() -> None:
    client = FakeClient()
    client.logs["support-1", True] = b"x" * BYTES + b"the cause"
    text = await tail(Logs(client))
    assert len(text) == BYTES
    assert text.endswith("the cause")


async def test_bytes_that_are_no_text_do_no_harm() -> None:
    client = FakeClient()
    client.logs["support-1", True] = b"\xff\xfe end"
    assert await tail(Logs(client)) == "\ufffd\ufffd end"
