"""What a reconcile makes of errors: its own, and those of the API server."""

import pytest

from slmfleet.core.types import Event, LogRequest, Observed, Plan, PodPatch, Ref
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
from slmfleet.kube.resources import DEPLOYMENTS
from slmfleet.runtime.objects import SLM_DEPLOYMENTS

from .world import DEPLOYMENT, SECRET, SERVICE, World, child, slm, world

pytestmark = pytest.mark.looptime


async def test_nothing_shrinks_when_a_pod_cannot_be_marked() -> None:
    gone = PodPatch(Ref("v1", "Pod", "support-1", "gone"), {"slmfleet.dev/traffic": "false"})
    w = world(DEPLOYMENT, patches=(gone,))
    assert (await w.reconcile()).failed
    assert ("apply", "Deployment", "support") not in w.written()


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
        return Plan(inquiries=(LogRequest("p", "engine", key=str(len(observed.answers))),))

    w = World(decide)
    w.client.seed(SLM_DEPLOYMENTS, slm())
    assert await w.reconcile() == Result(failed=True)
    assert w.outcome("bug") == 1


async def test_in_a_namespace_that_goes_nothing_more_is_tried_and_nobody_is_told() -> None:
    w = world(SERVICE, DEPLOYMENT)
    w.client.fail("apply", "Service", NamespaceGoneError('namespaces "chat" not found'))
    assert await w.reconcile() == Result(60.0)
    assert w.written() == [("apply", "Service", "support")]
    assert w.outcome("gone") == 1


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


async def test_nothing_that_would_mount_a_refused_secret_is_written() -> None:
    w = world(SECRET, DEPLOYMENT)
    w.client.fail("create", "Secret", RefusedError("exceeded quota: secrets=5"))
    w.decide = lambda o: Plan(apply=(SECRET, DEPLOYMENT), status={"refused": [str(f.message) for f in o.failures]})
    assert await w.reconcile() == Result(failed=True)
    assert [call[:2] for call in w.written()] == [("create", "Secret"), ("apply-status", "SLMDeployment")]
    status = w.client.objects["slmdeployments", "chat", "support"]["status"]
    assert status == {"refused": ["exceeded quota: secrets=5"]}
