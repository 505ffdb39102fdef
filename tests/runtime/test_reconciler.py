"""What a reconcile reads, writes and tells, in which order."""

import asyncio

import pytest

from slmfleet.core.autoscale.advice import Advice
from slmfleet.core.autoscale.decision import Decision
from slmfleet.core.types import Event, GuardOrder, LogRequest, Manifest, Observed, Plan, PodPatch, Ref
from slmfleet.kube.queue import Result
from slmfleet.kube.resources import DEPLOYMENTS, PODS, SERVICES
from slmfleet.runtime.objects import ACCELERATOR_CLASSES, SLM_DEPLOYMENTS

from .world import DEPLOYMENT, KEY, LABELS, SECRET, SERVICE, World, child, slm, world

pytestmark = pytest.mark.looptime


async def test_children_are_applied_in_order_then_the_status_then_the_events() -> None:
    w = world(SERVICE, DEPLOYMENT, events=(Event("Normal", "Accepted", "Reconcile", "fine"),), requeue_after=30.0)
    assert await w.reconcile() == Result(30.0)
    writes = w.written()
    assert writes[:3] == [
        ("apply", "Service", "support"),
        ("apply", "Deployment", "support"),
        ("apply-status", "SLMDeployment", "support"),
    ]
    assert [call[:2] for call in writes[3:]] == [("apply", "Event")]
    assert w.outcome("ok") == 1


def engine() -> Manifest:
    """A pod of the fleet, without a uid."""
    metadata = {"name": "support-1", "namespace": "chat", "labels": LABELS | {"slmfleet.dev/traffic": "true"}}
    return {"metadata": metadata, "spec": {}, "status": {}}


async def test_pods_are_marked_before_the_replicas_shrink_and_their_guards_told_after() -> None:
    w = world()
    uid = w.client.seed(PODS, engine())["metadata"]["uid"]
    ref = Ref("v1", "Pod", "support-1", uid)
    patch = PodPatch(ref, {"slmfleet.dev/traffic": "false"}, {"cost": "-1"})
    order = GuardOrder(uid, "10.0.0.1", drain=True)
    w.decide = lambda _: Plan(patches=(patch,), apply=(DEPLOYMENT,), orders=(order,), status={"ready": "0/1"})
    await w.reconcile()
    assert [call[:2] for call in w.written()][:2] == [("apply", "Pod"), ("apply", "Deployment")]
    marked = w.client.objects["pods", "chat", "support-1"]["metadata"]
    assert (marked["labels"]["slmfleet.dev/traffic"], marked["annotations"]) == ("false", {"cost": "-1"})
    await asyncio.sleep(1)
    assert [call[:2] for call in w.sent] == [("POST", "http://10.0.0.1:8000/slmfleet/drain")]
    w.decide = lambda _: Plan(status={"ready": "0/1"})
    await w.reconcile()
    assert w.seen[-1].told == {uid: True}


async def test_a_pod_that_hangs_is_deleted_without_waiting_for_its_requests() -> None:
    w = world()
    uid = w.client.seed(PODS, engine())["metadata"]["uid"]
    w.decide = lambda _: Plan(delete=(Ref("v1", "Pod", "support-1", uid),), status={"ready": "0/1"})
    await w.reconcile()
    assert w.client.graces == {"support-1": 30}


async def test_the_plan_sees_the_last_word_of_the_scaling_loop() -> None:
    w = world()
    w.advice[KEY] = Advice(Decision(3, "queue", "9 wait", (), None))
    await w.reconcile()
    assert w.seen[-1].advice == w.advice[KEY]


async def test_a_second_reconcile_writes_nothing() -> None:
    w = world(SERVICE, DEPLOYMENT)
    await w.reconcile()
    await w.reconcile()
    assert w.written() == []
    assert w.client.count("get", "Service") == 0


async def test_nothing_is_written_before_every_wanted_name_was_looked_up() -> None:
    w = world(SERVICE, DEPLOYMENT)
    await w.reconcile()
    verbs = [call[0] for call in w.client.calls]
    assert verbs[:4] == ["get", "get", "get", "apply"]


async def test_a_strangers_object_is_shown_to_the_plan_and_not_touched() -> None:
    def decide(observed: Observed) -> Plan:
        stranger = observed.children.get(Ref.of(SERVICE))
        if stranger is not None:
            return Plan(status={"conflict": stranger["spec"]})
        return Plan(apply=(SERVICE, DEPLOYMENT), status={"conflict": "none"})

    w = World(decide)
    w.client.seed(SLM_DEPLOYMENTS, slm())
    stranger = w.client.seed(SERVICES, {"metadata": {"name": "support", "namespace": "chat"}, "spec": {"port": 99}})
    await w.reconcile()
    assert w.written() == [("apply-status", "SLMDeployment", "support")]
    assert w.client.objects["services", "chat", "support"] == stranger
    assert w.client.objects["slmdeployments", "chat", "support"]["status"] == {"conflict": {"port": 99}}


async def test_the_plan_sees_children_pods_and_the_accelerator_class() -> None:
    w = world()
    w.client.seed(DEPLOYMENTS, DEPLOYMENT)
    w.client.seed(PODS, child("Pod", "support-1"))
    w.client.seed(PODS, {"metadata": {"name": "other", "namespace": "chat", "labels": {}}})
    w.client.seed(ACCELERATOR_CLASSES, {"metadata": {"name": "l4"}, "spec": {"memory": "24Gi"}})
    await w.reconcile()
    (observed,) = w.seen
    assert observed.slm["metadata"]["name"] == "support"
    assert list(observed.children) == [Ref("apps/v1", "Deployment", "support")]
    assert [pod["metadata"]["name"] for pod in observed.pods] == ["support-1"]
    assert observed.accelerator is not None
    assert observed.accelerator["spec"] == {"memory": "24Gi"}


async def test_wanted_logs_are_fetched_before_anything_is_decided() -> None:
    request = LogRequest("support-1", "engine", key="uid/3")

    def decide(observed: Observed) -> Plan:
        return Plan(status={"cause": observed.answers.get("uid/3", "?")}, inquiries=(request,))

    w = World(decide)
    w.client.seed(SLM_DEPLOYMENTS, slm())
    w.client.logs["support-1", True] = b"CUDA out of memory"
    await w.reconcile()
    assert [observed.answers for observed in w.seen] == [{}, {"uid/3": "CUDA out of memory"}]
    assert w.client.objects["slmdeployments", "chat", "support"]["status"] == {"cause": "CUDA out of memory"}


async def test_a_log_that_does_not_exist_is_empty_and_does_not_hold_anything_up() -> None:
    w = world(inquiries=(LogRequest("support-1", "engine", key="uid/3"),))
    assert await w.reconcile() == Result()
    assert w.seen[-1].answers == {"uid/3": ""}


async def test_our_own_writes_count_at_once() -> None:
    w = world(SERVICE)
    await w.reconcile()
    assert [obj["kind"] for obj in w.cache.children(KEY)] == ["Service"]
    stored = w.objects.slms.get(KEY)
    assert stored is not None
    assert stored["status"] == {"ready": "0/1"}


async def test_a_spec_that_changes_during_a_reconcile_is_looked_at_again_though_the_status_write_told_it_first() -> (
    None
):
    def decide(_: Observed) -> Plan:
        w.client.seed(SLM_DEPLOYMENTS, slm(replicas=2))
        w.news.clear()
        return Plan(status={"ready": "0/1"})

    w = world()
    w.decide = decide
    await w.reconcile()
    assert w.news == [KEY]


async def test_a_status_write_alone_is_no_news() -> None:
    def decide(_: Observed) -> Plan:
        w.news.clear()
        return Plan(status={"ready": "0/1"})

    w = world()
    w.decide = decide
    await w.reconcile()
    assert w.news == []


async def test_a_secret_is_created_without_being_looked_at_before_or_after() -> None:
    w = world(SECRET, DEPLOYMENT)
    await w.reconcile()
    assert ("get", "Secret", "token") not in w.client.calls
    assert w.written()[:2] == [("create", "Secret", "token"), ("apply", "Deployment", "support")]
    assert "Secret" not in {obj["kind"] for obj in w.cache.children(KEY)}
    await w.reconcile()
    assert w.outcome("ok") == 2
