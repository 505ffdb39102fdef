import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from slmfleet.kube.cache import Cache, Selection
from slmfleet.kube.errors import RefusedError, TransientError
from slmfleet.kube.resources import DEPLOYMENTS, PODS, Key, Manifest, Resource

from .fake import FakeClient

pytestmark = pytest.mark.looptime

KEY = ("chat", "support")
SELECTION = Selection("managed-by=slmfleet", "fleet")


def pod(name: str, fleet: str = "support", namespace: str = "chat", **spec: object) -> Manifest:
    labels = {"managed-by": "slmfleet", "fleet": fleet}
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec}


def names(cache: Cache, key: Key = KEY) -> list[str]:
    return sorted(obj["metadata"]["name"] for obj in cache.children(key))


class Heard(list[Key]):
    """The keys that the cache reported, in order."""

    def taken(self) -> list[Key]:
        keys, self[:] = list(self), []
        return keys


@asynccontextmanager
async def caching(
    client: FakeClient, *resources: Resource, selection: Selection = SELECTION, sweep: float = 600.0
) -> AsyncIterator[tuple[Cache, Heard]]:
    heard = Heard()
    cache = Cache(client, resources or (PODS,), selection, on_change=heard.append, rng=Random(1), sweep=sweep)
    task = asyncio.create_task(cache.run())
    try:
        await asyncio.wait_for(cache.synced(), 1000)
        await asyncio.sleep(0.1)
        yield cache, heard
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_exists_at_the_start_is_reported_and_found_by_its_fleet() -> None:
    client = FakeClient()
    client.seed(PODS, pod("a"))
    client.seed(PODS, pod("b", fleet="other"))
    client.seed(DEPLOYMENTS, pod("support"))
    async with caching(client, PODS, DEPLOYMENTS) as (cache, heard):
        assert sorted(heard) == [("chat", "other"), KEY, KEY]
        assert names(cache) == ["a", "support"]
        assert {obj["kind"] for obj in cache.children(KEY)} == {"Pod", "Deployment"}


async def test_changes_and_deletions_arrive_by_watch() -> None:
    client = FakeClient()
    async with caching(client) as (cache, heard):
        client.seed(PODS, pod("a"))
        client.seed(PODS, pod("a", node="n1"))
        await asyncio.sleep(0.1)
        assert cache.children(KEY)[0]["spec"] == {"node": "n1"}
        client.remove(PODS, "chat", "a")
        await asyncio.sleep(0.1)
        assert names(cache) == []
        assert heard == [KEY, KEY, KEY]
        assert client.count("list", "Pod") == 1


async def test_an_object_without_our_label_is_not_seen() -> None:
    client = FakeClient()
    async with caching(client) as (cache, heard):
        client.seed(PODS, {"metadata": {"name": "a", "namespace": "chat", "labels": {"fleet": "support"}}})
        await asyncio.sleep(0.1)
        assert (names(cache), heard) == ([], [])


async def test_a_relabelled_object_concerns_both_fleets() -> None:
    client = FakeClient()
    client.seed(PODS, pod("a"))
    async with caching(client) as (cache, heard):
        heard.taken()
        client.seed(PODS, pod("a", fleet="other"))
        await asyncio.sleep(0.1)
        assert set(heard) == {KEY, ("chat", "other")}
        assert (names(cache), names(cache, ("chat", "other"))) == ([], ["a"])


async def test_an_object_that_loses_our_label_is_gone_for_its_fleet() -> None:
    client = FakeClient()
    client.seed(PODS, pod("a"))
    async with caching(client) as (cache, heard):
        heard.taken()
        client.seed(PODS, {"metadata": {"name": "a", "namespace": "chat", "labels": {}}})
        await asyncio.sleep(0.1)
        assert (heard, names(cache)) == ([KEY], [])


async def test_a_watch_that_ends_in_time_is_resumed_where_it_was() -> None:
    client = FakeClient()
    client.seed(PODS, pod("a"))
    async with caching(client) as (cache, heard):
        heard.taken()
        client.seed(DEPLOYMENTS, pod("other-resources-move-the-version"))
        client.bookmark()
        await asyncio.sleep(0.1)
        client.cut()
        client.seed(PODS, pod("b"))
        await asyncio.sleep(1)
        assert (heard, names(cache)) == ([KEY], ["a", "b"])
        assert [call for call in client.calls if call[0] != "log"] == [
            ("list", "Pod", ""),
            ("watch", "Pod", "1"),
            ("watch", "Pod", "2"),  # from the bookmark, not from the last pod
        ]


async def test_after_410_a_list_reports_what_vanished_meanwhile() -> None:
    client = FakeClient()
    client.seed(PODS, pod("a"))
    client.seed(PODS, pod("b"))
    async with caching(client) as (cache, heard):
        heard.taken()
        client.remove(PODS, "chat", "a", silently=True)
        client.cut()
        client.seed(PODS, pod("c"))
        client.compact()
        await asyncio.sleep(5)
        assert names(cache) == ["b", "c"]
        assert heard == [KEY, KEY]
        assert cache.watchers[0].restarts == {"expired": 1}


async def test_a_broken_connection_is_resumed_with_growing_pauses() -> None:
    client = FakeClient()
    async with caching(client) as (cache, _):
        client.fail("watch", "Pod", *[TransientError("connection refused")] * 4)
        client.cut(TransientError("connection reset"))
        await asyncio.sleep(7.7)  # at most 0.5 + 1 + 2 + 4 + 8 s, at least half of it
        assert client.count("watch", "Pod") < 6
        await asyncio.sleep(7.8)
        assert client.count("watch", "Pod") == 6
        assert client.count("list", "Pod") == 1
        assert cache.watchers[0].restarts == {"error": 5}


async def test_the_same_trouble_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    client = FakeClient()
    client.fail("list", "Pod", *[RefusedError('pods is forbidden: "slmfleet" cannot list')] * 5)
    async with caching(client) as (cache, _):
        assert caplog.text.count("cannot list") == 1
        assert cache.watchers[0].trouble == ""


async def test_it_is_not_synced_before_the_first_list_succeeds() -> None:
    client = FakeClient()
    client.fail("list", "Pod", RefusedError("forbidden"))
    cache = Cache(client, (PODS,), SELECTION, on_change=lambda _: None, rng=Random(1), sweep=600)
    task = asyncio.create_task(cache.run())
    await asyncio.sleep(0.2)
    assert not cache.watchers[0].synced.is_set()
    assert cache.watchers[0].trouble == "forbidden"
    await cache.synced()
    task.cancel()
    await asyncio.wait([task])


async def test_the_sweep_finds_a_deletion_that_the_watch_lost() -> None:
    client = FakeClient()
    client.seed(PODS, pod("a"))
    async with caching(client, sweep=600) as (cache, heard):
        heard.taken()
        client.remove(PODS, "chat", "a", silently=True)
        await asyncio.sleep(530)
        assert names(cache) == ["a"]
        await asyncio.sleep(140)
        assert (heard, names(cache)) == ([KEY], [])


async def test_a_sweep_without_news_reports_nothing() -> None:
    client = FakeClient()
    client.seed(PODS, pod("a"))
    async with caching(client, sweep=60) as (_, heard):
        heard.taken()
        await asyncio.sleep(1000)
        assert heard == []
        assert client.count("list", "Pod") > 10


async def test_a_failing_sweep_is_tried_again() -> None:
    client = FakeClient()
    client.seed(PODS, pod("a"))
    async with caching(client, sweep=60) as (cache, _):
        client.fail("list", "Pod", TransientError("busy"))
        client.remove(PODS, "chat", "a", silently=True)
        await asyncio.sleep(140)
        assert names(cache) == []


async def test_the_answer_to_a_write_counts_before_the_watch_brings_it() -> None:
    client = FakeClient()
    async with caching(client) as (cache, heard):
        client.delay = 5.0
        written = client.seed(PODS, pod("a"))
        cache.put(written)
        assert (heard.taken(), names(cache)) == ([KEY], ["a"])
        await asyncio.sleep(1)
        assert heard == []  # the watch brings the same resourceVersion
        cache.drop(written)
        assert (heard, names(cache)) == ([KEY], [])


async def test_only_the_given_namespaces_are_watched() -> None:
    client = FakeClient()
    client.seed(PODS, pod("a"))
    client.seed(PODS, pod("b", namespace="rag"))
    client.seed(PODS, pod("c", namespace="other"))
    chosen = Selection("managed-by=slmfleet", "fleet", ("chat", "rag"))
    async with caching(client, selection=chosen) as (cache, heard):
        assert sorted(heard) == [KEY, ("rag", "support")]
        assert names(cache, ("other", "support")) == []


async def test_how_long_a_watch_is_silent_is_known() -> None:
    client = FakeClient()
    async with caching(client) as (cache, _):
        await asyncio.sleep(60)
        assert round(cache.watchers[0].silent()) == 60
        client.bookmark()
        await asyncio.sleep(0.1)
        assert round(cache.watchers[0].silent()) == 0


async def test_an_object_that_loses_its_label_and_gets_it_back_is_seen_again() -> None:
    client = FakeClient()
    async with caching(client, sweep=50) as (cache, _):
        client.seed(PODS, pod("a"))
        await asyncio.sleep(0.1)
        client.seed(PODS, {"metadata": {"name": "a", "namespace": "chat", "labels": {}}})
        await asyncio.sleep(0.1)
        assert names(cache) == []
        client.seed(PODS, pod("a"))
        await asyncio.sleep(0.1)
        assert names(cache) == ["a"]
        await asyncio.sleep(100)
        assert names(cache) == ["a"]
