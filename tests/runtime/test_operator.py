import asyncio

import pytest

from slmfleet.core.types import Plan
from slmfleet.kube.resources import CHILDREN
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
