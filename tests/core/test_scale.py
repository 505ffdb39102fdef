"""How many replicas the Deployment gets, and what status and events say about it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from slmfleet.api.scaling import Scaling, Schedule
from slmfleet.core.autoscale.advice import Advice, PodLoad
from slmfleet.core.autoscale.bounds import NODE_SECONDS, ceiling, floor
from slmfleet.core.autoscale.decision import Bound, Decision, Need
from slmfleet.core.plan import plan
from slmfleet.core.pods import pod_facts
from slmfleet.core.types import Manifest, Observed, Plan, Ref

from .make import CONFIG, NOW, applied, child, condition, counts, decide, pod, slm

SCALING: dict[str, Any] = {"minReplicas": 1, "maxReplicas": 8}
DEPLOYMENT = Ref("apps/v1", "Deployment", "support")


def advice(desired: int, message: str = "queue: 9 wait", bound: Bound | None = None, **more: Any) -> Advice:
    return Advice(Decision(desired, "queue", message, (Need("queue", desired - 0.25, message),), bound), **more)


def running(has: int, *pods: Manifest, **spec: Any) -> Observed:
    """A fleet that scales and whose Deployment has so many replicas, all ready."""
    observed = applied(slm(**({"scaling": SCALING} | spec)), *pods, **counts(has, has))
    deployment = observed.children[DEPLOYMENT]
    changed = deployment | {"spec": deployment["spec"] | {"replicas": has}}
    return replace(observed, children={**observed.children, DEPLOYMENT: changed})


def told(observed: Observed, plan_: Plan) -> Observed:
    """The same once the status is stored."""
    return replace(observed, slm=observed.slm | {"status": plan_.status})


def replicas(plan_: Plan) -> int:
    return int(child(plan_, "Deployment")["spec"]["replicas"])


@pytest.mark.parametrize(
    ("observed", "number"),
    [
        (Observed(slm(scaling=SCALING, replicas=5)), 1),  # never spec.replicas
        (Observed(slm(scaling=SCALING | {"minReplicas": 3})), 3),
        (Observed(slm(scaling=SCALING | {"minReplicas": 0})), 1),  # whoever made it sees whether it starts
        (running(4), 4),  # nothing decided yet: as it is
        (replace(running(4), advice=advice(6)), 6),
        (replace(running(4, replicas=7), advice=advice(6)), 6),
        (replace(running(4, scaling=SCALING | {"mode": "Shadow"}, replicas=2), advice=advice(6)), 2),
        (replace(running(4, scaling=None, replicas=2), advice=advice(6)), 2),
    ],
)
def test_the_deployment_gets_the_last_decision_else_keeps_its_number(observed: Observed, number: int) -> None:
    assert replicas(decide(observed)) == number


def test_a_paused_fleet_does_not_scale() -> None:
    paused = slm(scaling=SCALING, paused=True)
    p = decide(replace(running(2), slm=paused, advice=advice(6)))
    assert (p.apply, p.patches, p.orders) == ((), (), ())


def test_too_many_replicas_are_emptied_before_the_number_shrinks() -> None:
    pods = [pod(name, ready=True) for name in ("support-1", "support-2")]
    loads = {"support-1-uid": PodLoad(2, 0), "support-2-uid": PodLoad(0, 0)}
    p = decide(replace(running(2, *pods), advice=advice(1, loads=loads)))
    assert replicas(p) == 2
    assert [(patch.ref.name, patch.labels["slmfleet.dev/traffic"]) for patch in p.patches] == [("support-2", "false")]
    assert p.requeue_after == 2.0


def test_status_answers_why_there_are_so_many() -> None:
    first = decide(replace(running(2), advice=advice(2, "2 needed")))
    p = plan(told(replace(running(2), advice=advice(4)), first), CONFIG, NOW + timedelta(seconds=30))
    scaling = p.status["scaling"]
    assert (scaling["mode"], scaling["desired"], scaling["reason"]) == ("Active", 4, "queue")
    assert scaling["needs"] == [{"name": "queue", "replicas": "3.75", "formula": "queue: 9 wait"}]
    assert scaling["changes"] == [
        {"time": "2026-01-02T03:04:35Z", "from": 2, "to": 4, "reason": "queue", "message": "queue: 9 wait"}
    ]
    assert condition(p, "ScalingActive") == ("True", "Scaling", "queue: 9 wait")
    assert [(e.reason, e.note) for e in p.events if e.reason.startswith("Scaled")] == [("ScaledUp", "queue: 9 wait")]


@pytest.mark.parametrize(
    ("seconds", "message", "written"),
    [
        (59, "queue: 8 wait", "queue: 9 wait"),  # other numbers, the same decision
        (60, "queue: 8 wait", "queue: 8 wait"),
    ],
)
def test_numbers_change_once_a_minute_while_the_decision_stays(seconds: int, message: str, written: str) -> None:
    observed = replace(running(4), advice=advice(4))
    later = replace(told(observed, decide(observed)), advice=advice(4, message))
    p = plan(later, CONFIG, NOW + timedelta(seconds=seconds))
    assert p.status["scaling"]["message"] == written


def test_a_status_does_not_change_while_nothing_happens() -> None:
    observed = replace(running(4), advice=advice(4))
    first = decide(observed)
    again = plan(told(observed, first), CONFIG, NOW + timedelta(hours=1))
    assert (again.status, again.events) == (first.status, ())


def test_the_last_ten_changes_are_kept_newest_first() -> None:
    observed, last = running(1), decide(replace(running(1), advice=advice(1)))
    for number in range(2, 14):
        last = decide(told(replace(observed, advice=advice(number)), last))
    changes = last.status["scaling"]["changes"]
    assert [(c["from"], c["to"]) for c in changes] == [(n - 1, n) for n in range(13, 3, -1)]


@pytest.mark.parametrize(
    ("given", "status", "reason", "words"),
    [
        (None, "Unknown", "NoSignals", "the engines are being read"),
        (advice(2, missing="2 of 3 engines cannot be read"), "False", "NoSignals", "2 of 3 engines cannot be read"),
        (advice(8, bound=Bound(8, "spec.scaling.maxReplicas", "AtMaximum")), "True", "AtMaximum", "maxReplicas"),
        (advice(3, bound=Bound(3, "no pod can be created: quota", "Quota")), "False", "Quota", "quota"),
        (advice(3, bound=Bound(3, "pod x: no GPU", "Unschedulable")), "False", "Unschedulable", "no GPU"),
        (advice(2, bound=Bound(2, "spec.scaling.minReplicas")), "True", "Scaling", "9 wait"),
    ],
)
def test_the_condition_names_what_keeps_the_number_where_it_is(
    given: Advice | None, status: str, reason: str, words: str
) -> None:
    said = condition(decide(replace(running(2), advice=given)), "ScalingActive")
    assert said[:2] == (status, reason)
    assert words in said[2]


def test_a_restarted_operator_repeats_what_was_said_until_it_decides() -> None:
    observed = replace(running(4), advice=advice(4, learned={"capacity": 1.2}))
    before = decide(observed)
    p = decide(told(running(4), before))
    assert p.status == before.status
    assert p.events == ()


def test_a_shadow_says_what_would_run() -> None:
    shadow = running(1, scaling=SCALING | {"mode": "Shadow"})
    p = decide(replace(shadow, advice=advice(3)))
    assert condition(p, "ScalingActive")[:2] == ("False", "Shadow")
    assert "3 would run" in condition(p, "ScalingActive")[2]
    assert p.status["desiredReplicas"] == 1


def test_zero_replicas_say_what_they_wait_for() -> None:
    p = decide(replace(running(0, scaling=SCALING | {"minReplicas": 0}), advice=advice(0)))
    assert condition(p, "Available") == (
        "True",
        "ScaledToZero",
        "there was no request for spec.scaling.scaleToZero.idleAfter: nothing runs, as wanted",
    )


def test_a_pod_that_hangs_is_replaced_one_at_a_time_and_said() -> None:
    pods = [pod(f"support-{n}", ready=True) for n in (1, 2)]
    hung = frozenset({"support-1-uid", "support-2-uid"})
    p = decide(replace(running(2, *pods), advice=advice(2, hung=hung)))
    assert [(ref.kind, ref.name, ref.uid) for ref in p.delete] == [("Pod", "support-1", "support-1-uid")]
    assert [e.reason for e in p.events if e.action == "Replace"] == ["EngineHung"]


@pytest.mark.parametrize("other", [pod("support-2", ready=False), pod("support-2", ready=True)])
def test_a_pod_that_hangs_waits_for_the_others(other: Manifest) -> None:
    if other["status"]["conditions"][0]["status"] == "True":
        other["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    p = decide(
        replace(running(2, pod("support-1", ready=True), other), advice=advice(2, hung=frozenset({"support-1-uid"})))
    )
    assert p.delete == ()


def homeless(name: str, seconds: float) -> Manifest:
    since = (NOW - timedelta(seconds=seconds)).isoformat()
    waits = {"type": "PodScheduled", "status": "False", "message": "no GPU", "lastTransitionTime": since}
    return pod(name, conditions=[waits])


@pytest.mark.parametrize(
    ("pods", "failure", "most", "reason"),
    [
        ([pod("a", ready=True)], "", 8, "AtMaximum"),
        ([pod("a", ready=True)], "exceeded quota", 2, "Quota"),
        ([pod("a", ready=True), homeless("b", NODE_SECONDS), homeless("c", 999)], "", 2, "Unschedulable"),
        ([pod("a", ready=True), homeless("b", NODE_SECONDS - 1)], "", 8, "AtMaximum"),  # a node may be on its way
    ],
)
def test_no_more_is_asked_for_than_can_exist(pods: list[Manifest], failure: str, most: int, reason: str) -> None:
    conditions = [{"type": "ReplicaFailure", "status": "True", "message": failure}] if failure else []
    facts = [pod_facts(each, NOW) for each in pods]
    found = ceiling(Scaling(max_replicas=8), facts, {"status": {"conditions": conditions}})
    assert (found.replicas, found.reason) == (most, reason)


def test_a_window_that_no_calendar_can_keep_is_told_and_nothing_is_changed() -> None:
    window = {"name": "office", "start": "61 8 * * *", "duration": "1h", "minReplicas": 2}
    p = decide(replace(running(2), slm=slm(scaling=SCALING | {"schedules": [window]})))
    status, reason, message = condition(p, "Accepted")
    assert (status, reason, p.apply) == ("False", "InvalidSpec", ())
    assert message.startswith('spec.scaling.schedules[0] (office): "61 8 * * *" is no cron expression')


def test_an_open_window_raises_the_floor() -> None:
    def window(name: str, replicas: int) -> Schedule:
        return Schedule(name=name, start="0 3 * * *", duration="1h", min_replicas=replicas)

    scaling = Scaling(min_replicas=2, max_replicas=8, schedules=[window("low", 1), window("high", 4)])
    assert floor(scaling, NOW) == Bound(4, "schedule high")
    assert floor(scaling, NOW + timedelta(hours=1)) == Bound(2, "spec.scaling.minReplicas")
