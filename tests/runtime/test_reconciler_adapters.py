"""Adapters in a reconcile: their tables, their status, with and without their deployment."""

import asyncio

import pytest

from slmfleet.core.types import AdapterOutcome, Event, Manifest, Plan, TableOrder
from slmfleet.runtime.objects import LORA_ADAPTERS

from .world import World, world

pytestmark = pytest.mark.looptime

TABLE = TableOrder("u1", "10.0.0.1", "c1", {"adapters": {}})


def adapter() -> Manifest:
    metadata = {"name": "legal", "namespace": "chat"}
    return {
        "apiVersion": "slmfleet.dev/v1alpha1",
        "kind": "LoRAAdapter",
        "metadata": metadata,
        "spec": {"deploymentRef": {"name": "support"}, "source": {"uri": "hf://a/b"}},
    }


def stored(made: World) -> Manifest:
    return made.client.objects["loraadapters", "chat", "legal"]


async def test_tables_go_to_guards_and_statuses_to_adapters() -> None:
    made = world()
    seeded = made.client.seed(LORA_ADAPTERS, adapter())
    outcome = AdapterOutcome(seeded, {"phase": "Ready"}, (Event("Normal", "Ready", "Ready", "served"),))
    made.decide = lambda _: Plan(tables=(TABLE,), outcomes=(outcome,), status={"ready": "0/1"})
    await made.reconcile()
    assert [a["metadata"]["name"] for a in made.seen[0].adapters] == ["legal"]
    assert stored(made)["status"] == {"phase": "Ready"}
    assert made.client.count("apply", "Event") == 1
    await asyncio.sleep(0.1)
    assert [call[:2] for call in made.sent] == [("PUT", "http://10.0.0.1:8000/slmfleet/adapters")]
    await made.adapters.close()


async def test_an_adapter_that_is_deleted_meanwhile_does_not_matter() -> None:
    made = world()
    outcome = AdapterOutcome(
        adapter() | {"metadata": {"name": "legal", "namespace": "chat", "uid": "gone"}}, {"phase": "Ready"}
    )
    made.decide = lambda _: Plan(outcomes=(outcome,), status={"ready": "0/1"})
    await made.reconcile()
    assert made.outcome("ok") == 1


async def test_an_adapter_without_its_deployment_says_so() -> None:
    made = World(lambda _: pytest.fail("nothing to plan"))
    made.client.seed(LORA_ADAPTERS, adapter())
    await made.reconcile()
    status = stored(made)["status"]
    assert (status["phase"], status["loaded"]) == ("Pending", "0/0")
    assert {c["reason"] for c in status["conditions"]} == {"DeploymentMissing"}
    assert made.client.count("apply", "Event") == 1
