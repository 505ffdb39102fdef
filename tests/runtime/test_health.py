import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from slmfleet.kube.cache import Cache, Selection
from slmfleet.kube.errors import TransientError
from slmfleet.kube.queue import Result, WorkQueue
from slmfleet.kube.resources import PODS, Key, Manifest
from slmfleet.runtime.health import queue_troubles, watch_troubles
from tests.kube.fake import FakeClient

pytestmark = pytest.mark.looptime


async def stuck(_: Key) -> Result:
    await asyncio.Event().wait()
    return Result()


async def test_work_that_nobody_takes_up_and_a_worker_that_never_ends_are_told() -> None:
    queue = WorkQueue(Random(1))
    queue.add(("chat", "a"))
    queue.add(("chat", "b"))
    task = asyncio.create_task(queue.run(stuck, 1))
    await asyncio.sleep(299)
    assert list(queue_troubles(queue)) == []
    await asyncio.sleep(2)
    assert list(queue_troubles(queue)) == ["work has waited 301 s for a worker (limit 300 s)"]
    await asyncio.sleep(300)
    assert "a worker has been busy with one object for 601 s (limit 600 s)" in list(queue_troubles(queue))
    await queue.stop(0)
    await task


class Deaf(FakeClient):
    """A watch that hears nothing and does not notice."""

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[tuple[str, Manifest]]:
        await asyncio.Event().wait()
        yield "", {}


@asynccontextmanager
async def watching(client: FakeClient) -> AsyncIterator[Cache]:
    cache = Cache(client, (PODS,), Selection("a=b", "c"), on_change=lambda _: None, rng=Random(1), sweep=80_000)
    task = asyncio.create_task(cache.run())
    await cache.synced()
    yield cache
    task.cancel()
    await asyncio.wait([task])


async def test_a_deaf_watch_is_told() -> None:
    async with watching(Deaf()) as cache:
        await asyncio.sleep(299)
        assert list(watch_troubles(cache)) == []
        await asyncio.sleep(2)
        assert list(watch_troubles(cache)) == ["watch of pods heard nothing for 301 s (limit 300 s)"]


async def test_a_watch_that_fails_loudly_waits_for_the_api_server_and_not_for_a_restart() -> None:
    client = FakeClient()
    async with watching(client) as cache:
        client.fail("watch", "Pod", *[TransientError("connection refused")] * 1000)
        client.cut(TransientError("connection reset"))
        await asyncio.sleep(3000)
        assert list(watch_troubles(cache)) == []
