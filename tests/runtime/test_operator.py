import asyncio
from typing import Any

import pytest

from slmfleet.core.types import Plan
from slmfleet.kube.errors import KubeError, NotFoundError, RefusedError, TransientError
from slmfleet.kube.resources import CHILDREN, Manifest, Resource
from slmfleet.metrics.registry import Metrics
from slmfleet.runtime.objects import SLM_DEPLOYMENTS
from slmfleet.runtime.operator import KOPF_LISTS, Operator
from slmfleet.runtime.settings import Settings
from tests.kube.fake import FakeClient

from .world import slm

pytestmark = pytest.mark.looptime


def made(client: FakeClient, metrics: Metrics | None = None, *namespaces: str) -> Operator:
    settings = Settings(namespaces=namespaces, leader_election=False)
    return Operator(settings, client, metrics or Metrics("test"), lambda *_: Plan())


async def test_what_was_deleted_before_kopf_listed_is_found_soon_after_its_start() -> None:
    client = FakeClient()
    client.seed(SLM_DEPLOYMENTS, slm())
    operator = made(client)
    await operator._objects.load()
    sweeping = asyncio.create_task(operator._sweep_for_ever())
    client.remove(SLM_DEPLOYMENTS, "chat", "support", silently=True)
    await asyncio.sleep(60)
    assert len(operator._objects.slms) == 1
    operator.kopf_started.set()
    await asyncio.sleep(KOPF_LISTS + 1)
    assert len(operator._objects.slms) == 0
    sweeping.cancel()


async def test_the_restarts_of_a_resources_watchers_are_one_series() -> None:
    metrics = Metrics("test")
    operator = made(FakeClient(), metrics, "chat", "rag")
    for watcher in operator._cache.watchers:
        watcher.restarts["error"] += 2
    lines = [line for line in metrics.expose().decode().splitlines() if line.startswith("slmfleet_watch_restarts")]
    assert lines.count('slmfleet_watch_restarts_total{reason="error",resource="pods"} 4.0') == 1
    assert len(lines) == len(CHILDREN)


def started_kopf(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    watched: list[tuple[str, ...]] = []

    async def kopf_operator(*, namespaces: tuple[str, ...], **_: object) -> None:
        watched.append(namespaces)
        await asyncio.Event().wait()

    monkeypatch.setattr("slmfleet.runtime.operator.kopf.operator", kopf_operator)
    return watched


@pytest.mark.parametrize("error", [RefusedError("forbidden"), NotFoundError("not found")])
async def test_a_namespace_that_is_gone_does_not_hold_up_the_others_and_is_watched_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, error: KubeError
) -> None:
    watched = started_kopf(monkeypatch)
    client = Divided(error)
    client.seed(SLM_DEPLOYMENTS, slm())
    operator = made(client, None, "chat", "gone")
    work = asyncio.create_task(operator.work())
    await asyncio.sleep(300)
    operator.kopf_started.set()
    assert operator.state() == "leading"
    assert list(operator.troubles()) == []
    assert watched == [("chat",)]
    assert len(operator._objects.slms) == 1
    client.back = True
    await asyncio.sleep(700)
    (ended,) = leaves(work.exception())
    assert str(ended) == "namespace gone can be read again, and kopf takes no other one"


async def test_a_leader_that_cannot_read_the_cluster_says_so_after_two_minutes() -> None:
    client = FakeClient()
    client.fail("list", "Pod", *[RefusedError("pods is forbidden")] * 1000)
    operator = made(client)
    work = asyncio.create_task(operator.work())
    await asyncio.sleep(119)
    assert list(operator.troubles()) == []
    await asyncio.sleep(2)
    assert list(operator.troubles()) == [
        "the cluster has been read for 121 s (limit 120 s), still missing: pods (pods is forbidden)"
    ]
    work.cancel()
    await asyncio.wait([work])


async def test_the_key_is_waited_for_while_the_api_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    started_kopf(monkeypatch)
    client = FakeClient()
    client.fail("get", "Secret", *[TransientError("no answer")] * 10)
    operator = made(client)
    work = asyncio.create_task(operator.work())
    await asyncio.sleep(30)
    assert operator.state() == "reading its key"
    await asyncio.sleep(600)
    assert operator.state() == "leading"
    assert client.count("create", "Secret") == 1
    work.cancel()
    await asyncio.wait([work])


async def test_without_the_right_to_the_key_the_process_ends_and_says_why() -> None:
    client = FakeClient()
    client.fail("get", "Secret", RefusedError('secrets "slmfleet-guard-key" is forbidden'))
    work = asyncio.create_task(made(client).work())
    await asyncio.wait([work], timeout=5)
    (ended,) = leaves(work.exception())
    assert str(ended) == 'secrets "slmfleet-guard-key" is forbidden'


class Divided(FakeClient):
    """One namespace of it cannot be read until it is `back`."""

    def __init__(self, error: KubeError) -> None:
        super().__init__()
        self.error = error
        self.back = False

    async def list(self, resource: Resource, namespace: str | None, **more: Any) -> tuple[list[Manifest], str]:
        if namespace == "gone" and not self.back:
            raise self.error
        return await super().list(resource, namespace, **more)


def leaves(error: BaseException | None) -> list[BaseException | None]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]
