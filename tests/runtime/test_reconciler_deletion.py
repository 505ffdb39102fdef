"""What a reconcile does when the fleet or a child of it was deleted, told or not."""

import asyncio

import pytest

from slmfleet.core.types import Observed, Plan
from slmfleet.kube.queue import Result
from slmfleet.kube.resources import DEPLOYMENTS
from slmfleet.runtime.objects import SLM_DEPLOYMENTS

from .world import DEPLOYMENT, KEY, SERVICE, child, slm, world

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("deleting", [True, False])
async def test_a_deleted_fleet_is_left_to_garbage_collection(deleting: bool) -> None:
    w = world(SERVICE)
    if deleting:
        obj = slm()
        obj["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
        w.client.seed(SLM_DEPLOYMENTS, obj)
    else:
        w.client.remove(SLM_DEPLOYMENTS, "chat", "support")
    assert await w.reconcile() == Result()
    assert (w.seen, w.written()) == ([], [])


async def test_a_fleet_that_is_deleted_during_its_reconcile_is_no_error() -> None:
    def decide(_: Observed) -> Plan:
        w.client.remove(SLM_DEPLOYMENTS, "chat", "support")
        return Plan(status={"ready": "0/1"})

    w = world()
    w.decide = decide
    assert await w.reconcile() == Result()


async def test_a_child_that_the_cache_still_has_though_it_is_gone_is_looked_up_and_made_again() -> None:
    w = world(DEPLOYMENT)
    w.client.seed(DEPLOYMENTS, child("Deployment", replicas=7))
    watching = asyncio.create_task(w.cache.run())
    await w.cache.synced()
    await w.objects.sweep()
    w.client.remove(DEPLOYMENTS, "chat", "support", silently=True)
    assert await w.reconciler(KEY) == Result(failed=True)
    assert await w.reconciler(KEY) == Result()
    assert w.client.objects["deployments", "chat", "support"]["spec"] == {"replicas": 1}
    watching.cancel()
    await asyncio.wait([watching])


@pytest.mark.parametrize("successor", [True, False])
async def test_the_children_of_a_fleet_whose_deletion_was_missed_are_not_made_again(successor: bool) -> None:
    w = world(SERVICE)
    await w.objects.sweep()
    w.client.remove(SLM_DEPLOYMENTS, "chat", "support", silently=True)
    if successor:
        w.client.seed(SLM_DEPLOYMENTS, slm(replicas=3))
    w.news.clear()
    assert await w.reconciler(KEY) == Result()
    assert w.written() == []
    assert w.news == [KEY]
    known = w.objects.slms.get(KEY)
    assert (known and known["spec"].get("replicas")) == (3 if successor else None)


async def test_a_fleet_whose_deletion_was_missed_is_forgotten_when_its_status_cannot_be_written() -> None:
    w = world()
    await w.objects.sweep()
    w.client.remove(SLM_DEPLOYMENTS, "chat", "support", silently=True)
    assert await w.reconciler(KEY) == Result()
    assert w.objects.slms.get(KEY) is None


async def test_a_fleet_that_is_being_deleted_gets_no_children_though_nobody_has_told_yet() -> None:
    w = world(SERVICE)
    await w.objects.sweep()
    going = slm()
    going["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    w.client.seed(SLM_DEPLOYMENTS, going)
    assert await w.reconciler(KEY) == Result()
    assert w.written() == []
