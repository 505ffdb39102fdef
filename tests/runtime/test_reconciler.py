import asyncio

import pytest

from slmfleet.core.autoscale.advice import Advice
from slmfleet.core.autoscale.decision import Decision
from slmfleet.core.types import Event, GuardOrder, LogRequest, Manifest, Observed, Plan, PodPatch, Ref
from slmfleet.kube.errors import (
    ExpiredError,
    KubeError,
    NamespaceGoneError,
    NotFoundError,
    NotLeaderError,
    RefusedError,
    TransientError,
)
from slmfleet.kube.queue import Result
from slmfleet.kube.resources import DEPLOYMENTS, PODS, SERVICES
from slmfleet.runtime.objects import ACCELERATOR_CLASSES, SLM_DEPLOYMENTS

from .world import DEPLOYMENT, KEY, LABELS, SERVICE, World, child, slm, world

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


async def test_nothing_shrinks_when_a_pod_cannot_be_marked() -> None:
    gone = PodPatch(Ref("v1", "Pod", "support-1", "gone"), {"slmfleet.dev/traffic": "false"})
    w = world(DEPLOYMENT, patches=(gone,))
    assert (await w.reconcile()).failed
    assert ("apply", "Deployment", "support") not in w.written()


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
    request = LogRequest("support-1", "engine", previous=True, key="uid/3")

    def decide(observed: Observed) -> Plan:
        return Plan(status={"cause": observed.answers.get("uid/3", "?")}, inquiries=(request,))

    w = World(decide)
    w.client.seed(SLM_DEPLOYMENTS, slm())
    w.client.logs["support-1", True] = b"CUDA out of memory"
    await w.reconcile()
    assert [observed.answers for observed in w.seen] == [{}, {"uid/3": "CUDA out of memory"}]
    assert w.client.objects["slmdeployments", "chat", "support"]["status"] == {"cause": "CUDA out of memory"}


async def test_a_log_that_does_not_exist_is_empty_and_does_not_hold_anything_up() -> None:
    w = world(inquiries=(LogRequest("support-1", "engine", previous=True, key="uid/3"),))
    assert await w.reconcile() == Result()
    assert w.seen[-1].answers == {"uid/3": ""}


async def test_one_refused_child_does_not_stop_the_others_and_the_status_tells() -> None:
    def decide(observed: Observed) -> Plan:
        told = [f"{failure.ref.kind}: {failure.message}" for failure in observed.failures]
        return Plan(apply=(SERVICE, DEPLOYMENT), status={"refused": told}, requeue_after=None)

    w = World(decide)
    w.client.seed(SLM_DEPLOYMENTS, slm())
    w.client.fail("apply", "Service", RefusedError("exceeded quota: services=5"))
    assert await w.reconcile() == Result(failed=True)
    assert [call[1] for call in w.written()] == ["Service", "Deployment", "SLMDeployment"]
    status = w.client.objects["slmdeployments", "chat", "support"]["status"]
    assert status == {"refused": ["Service: exceeded quota: services=5"]}
    assert w.outcome("refused") == 1


async def test_nothing_is_deleted_while_its_successor_is_refused() -> None:
    old = child("Deployment", "old")
    w = world(SERVICE)
    uid = w.client.seed(DEPLOYMENTS, old)["metadata"]["uid"]
    plan = Plan(apply=(SERVICE,), delete=(Ref("apps/v1", "Deployment", "old", uid),), status={})
    w.decide = lambda _: plan
    w.client.fail("apply", "Service", RefusedError("no"))
    await w.reconcile()
    assert ("deployments", "chat", "old") in w.client.objects
    await w.reconcile()
    assert ("deployments", "chat", "old") not in w.client.objects


async def test_a_child_that_was_replaced_meanwhile_is_not_deleted() -> None:
    w = world()
    w.client.seed(DEPLOYMENTS, child("Deployment", "old"))
    w.decide = lambda _: Plan(delete=(Ref("apps/v1", "Deployment", "old", "uid-of-another"),))
    assert await w.reconcile() == Result(failed=True)
    assert ("deployments", "chat", "old") in w.client.objects
    assert w.outcome("conflict") == 1


@pytest.mark.parametrize("verb_kind", [("apply", "Service"), ("apply-status", "SLMDeployment"), ("get", "Service")])
async def test_a_transient_error_puts_the_key_off_as_long_as_the_server_wishes(verb_kind: tuple[str, str]) -> None:
    w = world(SERVICE, DEPLOYMENT)
    w.client.fail(*verb_kind, TransientError("too many requests", 7.0))
    assert await w.reconcile() == Result(failed=True, pause=7.0)
    assert w.outcome("transient") == 1
    if verb_kind[0] != "apply-status":
        assert ("apply", "Deployment", "support") not in w.client.calls


async def test_events_wait_for_the_status_that_they_tell_of() -> None:
    w = world(events=(Event("Normal", "Accepted", "Reconcile", "fine"),))
    w.client.fail("apply-status", "SLMDeployment", TransientError("busy"))
    await w.reconcile()
    assert w.client.count("apply", "Event") == 0
    await w.reconcile()
    assert w.client.count("apply", "Event") == 1


async def test_a_bug_in_the_plan_is_told_and_puts_off_only_its_key(caplog: pytest.LogCaptureFixture) -> None:
    def decide(_: Observed) -> Plan:
        raise ZeroDivisionError("replicas / 0")

    w = World(decide)
    w.client.seed(SLM_DEPLOYMENTS, slm())
    assert await w.reconcile() == Result(failed=True)
    assert w.outcome("bug") == 1
    (record,) = [r for r in caplog.records if r.name == "slmfleet.runtime.reconciler"]
    assert record.__dict__["object"] == {"kind": "SLMDeployment", "namespace": "chat", "name": "support"}
    assert "replicas / 0" in caplog.text


async def test_a_plan_that_never_stops_asking_is_a_bug_and_not_an_endless_loop() -> None:
    def decide(observed: Observed) -> Plan:
        return Plan(inquiries=(LogRequest("p", "engine", previous=True, key=str(len(observed.answers))),))

    w = World(decide)
    w.client.seed(SLM_DEPLOYMENTS, slm())
    assert await w.reconcile() == Result(failed=True)
    assert w.outcome("bug") == 1


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


async def test_our_own_writes_count_at_once() -> None:
    w = world(SERVICE)
    await w.reconcile()
    assert [obj["kind"] for obj in w.cache.children(KEY)] == ["Service"]
    stored = w.objects.slms.get(KEY)
    assert stored is not None
    assert stored["status"] == {"ready": "0/1"}


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


async def test_in_a_namespace_that_goes_nothing_more_is_tried_and_nobody_is_told() -> None:
    w = world(SERVICE, DEPLOYMENT)
    w.client.fail("apply", "Service", NamespaceGoneError('namespaces "chat" not found'))
    assert await w.reconcile() == Result(60.0)
    assert w.written() == [("apply", "Service", "support")]
    assert w.outcome("gone") == 1


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


async def test_a_child_that_is_gone_between_its_apply_and_its_merge_is_looked_for_again() -> None:
    w = world(DEPLOYMENT)
    w.client.seed(DEPLOYMENTS, child("Deployment", replicas=7))
    w.client.fail("apply", "Deployment", RefusedError("duplicate"))
    w.client.fail("merge", "Deployment", NotFoundError('deployments "support" not found'))
    assert await w.reconcile() == Result(failed=True)
    assert w.outcome("conflict") == 1


@pytest.mark.parametrize(
    ("error", "outcome", "result"),
    [
        (NotLeaderError("lease not held"), "fenced", Result()),
        (RefusedError("a policy"), "refused", Result(failed=True)),
        (ExpiredError("too old"), "transient", Result(failed=True)),
    ],
)
@pytest.mark.parametrize(
    "call", [("apply-status", "SLMDeployment"), ("get", "Service"), ("delete", "Deployment")], ids=lambda call: call[0]
)
async def test_what_the_api_server_says_is_never_called_a_bug(
    caplog: pytest.LogCaptureFixture, call: tuple[str, str], error: KubeError, outcome: str, result: Result
) -> None:
    caplog.set_level("INFO")
    w = world(SERVICE)
    uid = w.client.seed(DEPLOYMENTS, child("Deployment", "old"))["metadata"]["uid"]
    plan = Plan(apply=(SERVICE,), delete=(Ref("apps/v1", "Deployment", "old", uid),), status={"ready": "0/1"})
    w.decide = lambda _: plan
    w.client.fail(*call, error)
    assert await w.reconcile() == result
    assert w.outcome(outcome) == 1
    (record,) = [r for r in caplog.records if r.name == "slmfleet.runtime.reconciler"]
    assert record.exc_info is None
    assert str(error) in record.getMessage()


SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "chat"}, "data": {}}


async def test_a_secret_is_created_without_being_looked_at_before_or_after() -> None:
    w = world(SECRET, DEPLOYMENT)
    await w.reconcile()
    assert ("get", "Secret", "token") not in w.client.calls
    assert w.written()[:2] == [("create", "Secret", "token"), ("apply", "Deployment", "support")]
    assert "Secret" not in {obj["kind"] for obj in w.cache.children(KEY)}
    await w.reconcile()
    assert w.outcome("ok") == 2


async def test_nothing_that_would_mount_a_refused_secret_is_written() -> None:
    w = world(SECRET, DEPLOYMENT)
    w.client.fail("create", "Secret", RefusedError("exceeded quota: secrets=5"))
    w.decide = lambda o: Plan(apply=(SECRET, DEPLOYMENT), status={"refused": [str(f.message) for f in o.failures]})
    assert await w.reconcile() == Result(failed=True)
    assert [call[:2] for call in w.written()] == [("create", "Secret"), ("apply-status", "SLMDeployment")]
    status = w.client.objects["slmdeployments", "chat", "support"]["status"]
    assert status == {"refused": ["exceeded quota: secrets=5"]}
