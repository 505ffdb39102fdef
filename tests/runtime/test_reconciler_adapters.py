"""Adapters in a reconcile: their tables, their status, with and without their deployment."""

import asyncio

import pytest

from slmfleet.core.names import ADAPTER
from slmfleet.core.types import AdapterOutcome, Event, Manifest, Observed, Plan, Ref, TableOrder
from slmfleet.kube.errors import RefusedError
from slmfleet.kube.queue import Result
from slmfleet.kube.resources import DEPLOYMENTS, JOBS
from slmfleet.runtime.objects import LORA_ADAPTERS

from .world import SERVICE, World, child, world

pytestmark = pytest.mark.looptime

TABLE = TableOrder("u1", "10.0.0.1", "c1", {"adapters": {}}, ready=True)


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


async def test_a_job_that_is_refused_to_one_adapter_holds_up_no_other_write() -> None:
    job = child("Job", "legal-1") | {"apiVersion": JOBS.api_version}
    job["metadata"]["labels"][ADAPTER] = "legal"
    made = world()
    uid = made.client.seed(DEPLOYMENTS, child("Deployment", "old"))["metadata"]["uid"]
    seeded = made.client.seed(LORA_ADAPTERS, adapter())

    def decide(observed: Observed) -> Plan:
        told = [f"{failure.adapter}: {failure.message}" for failure in observed.failures]
        return Plan(
            apply=(job, SERVICE),
            delete=(Ref("apps/v1", "Deployment", "old", uid),),
            tables=(TABLE,),
            outcomes=(AdapterOutcome(seeded, {"refused": told}),),
            status={"ready": "0/1"},
            requeue_after=60.0,
        )

    made.decide = decide
    made.client.fail("apply", "Job", RefusedError("exceeded quota: jobs"))
    assert await made.reconcile() == Result(60.0)
    assert [call[:2] for call in made.written()] == [
        ("apply", "Job"),
        ("apply", "Service"),
        ("delete", "Deployment"),
        ("apply-status", "SLMDeployment"),
        ("apply-status", "LoRAAdapter"),
    ]
    assert stored(made)["status"] == {"refused": ["legal: exceeded quota: jobs"]}
    assert made.outcome("refused") == 1
    await asyncio.sleep(0.1)
    assert len(made.sent) == 1
    await made.adapters.close()
