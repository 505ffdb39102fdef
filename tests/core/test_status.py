"""What the status says in each situation: the reason, the words, the phase."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from slmfleet.api.cold_start import ColdStartStatus, PhaseSeconds
from slmfleet.core.plan import plan
from slmfleet.core.types import Observed, Ref, WriteFailure

from .make import CONFIG, NOW, applied, condition, counts, decide, pod, slm, stored


def test_a_fresh_deployment_is_pending_until_a_pod_exists() -> None:
    p = decide(Observed(slm()))
    assert p.status["phase"] == "Pending"
    assert condition(p, "Available") == ("False", "NoReadyReplica", "no pod exists yet")
    assert condition(p, "Progressing")[:2] == ("True", "Scaling")
    assert p.status["ready"] == "0/1"


def test_all_replicas_ready_is_ready_and_up_to_date() -> None:
    p = decide(applied(slm(replicas=2), **counts(2, 2)))
    assert condition(p, "Ready") == ("True", "Ready", "2 of 2 replicas answer on http://support.chat.svc")
    assert condition(p, "Progressing")[1] == "UpToDate"
    assert (p.status["phase"], p.status["ready"], p.status["replicas"]) == ("Ready", "2/2", 2)


def test_a_spec_that_is_not_applied_yet_is_not_reported_as_ready() -> None:
    observed = applied(slm(replicas=2), **counts(2, 2))
    changed = slm(replicas=2, engine={"version": "0.32.0", "maxModelLen": 4096})
    p = decide(Observed(changed, children=observed.children))
    assert condition(p, "Ready")[:2] == ("False", "RollingOut")
    assert p.status["phase"] == "Updating"


def test_the_status_of_a_deployment_whose_controller_lags_behind_is_not_trusted() -> None:
    p = decide(applied(slm(), **counts(1, 1), observedGeneration=0))
    assert condition(p, "Ready")[0] == "False"


def test_zero_replicas_is_available_as_wanted() -> None:
    p = decide(applied(slm(replicas=0), **counts(0, 0)))
    assert condition(p, "Available")[:2] == ("True", "ScaledToZero")
    assert condition(p, "Ready")[:2] == ("True", "ScaledToZero")
    assert p.status["phase"] == "ScaledToZero"


def test_paused_changes_nothing_and_says_so() -> None:
    p = decide(applied(slm(paused=True), **counts(1, 1)))
    assert p.apply == ()
    assert p.delete == ()
    assert condition(p, "Progressing")[:2] == ("False", "Paused")
    assert p.status["phase"] == "Paused"


def test_a_rollout_tells_how_many_pods_are_left() -> None:
    p = decide(applied(slm(replicas=3), **counts(3, 2, updated=1)))
    assert condition(p, "Progressing") == ("True", "RollingOut", "2 of 3 pods still have the previous template")
    assert p.status["phase"] == "Updating"


def test_a_surge_that_never_becomes_ready_is_a_rollout_that_says_why() -> None:
    new = pod("support-2", container={"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}})
    p = decide(applied(slm(accelerator={"class": "cpu"}), pod(ready=True), new, **counts(2, 1, updated=1)))
    assert condition(p, "Available")[0] == "True"
    assert condition(p, "Progressing")[1] == "RollingOut"
    assert condition(p, "Ready")[1:] == ("ImagePull", "1 of 1 replicas answer; pod support-2: ErrImagePull: not found")
    assert p.status["phase"] == "Degraded"


def test_an_invalid_spec_names_field_value_and_reason_and_touches_nothing() -> None:
    p = decide(Observed(slm(replicas="three")))
    assert p.apply == ()
    assert condition(p, "Accepted") == (
        "False",
        "InvalidSpec",
        'spec.replicas: "three": input should be a valid integer',
    )
    assert p.status["phase"] == "Invalid"


def test_an_invalid_change_leaves_the_running_fleet_and_its_numbers() -> None:
    observed = applied(slm(replicas=2), **counts(2, 2))
    p = decide(Observed(slm(replicas="three"), children=observed.children))
    assert (p.apply, p.delete) == ((), ())
    assert condition(p, "Available")[0] == "True"
    assert p.status["ready"] == "2/2"


def test_an_unknown_accelerator_names_the_nearest_one() -> None:
    p = decide(Observed(slm(accelerator={"class": "nvidia-l44"})))
    status, reason, message = condition(p, "Accepted")
    assert (status, reason) == ("False", "UnknownAccelerator")
    assert message.startswith('spec.accelerator.class: "nvidia-l44" is neither an AcceleratorClass nor in the built-in')
    assert "did you mean nvidia-l4?" in message


def test_more_tensor_parallelism_than_a_node_has_gpus_is_refused() -> None:
    custom = {"spec": {"platform": "cuda", "memory": "24Gi", "resourceName": "nvidia.com/gpu", "gpusPerNode": 2}}
    p = decide(Observed(slm(parallelism={"tensor": 4}), accelerator=custom))
    assert condition(p, "Accepted")[2] == (
        "spec.parallelism.tensor: 4 is more than the 2 GPUs of a node with nvidia-l4: "
        "use at most 2, or a class with larger nodes"
    )


@pytest.mark.parametrize("written", ["--port=9000", "--por", "--served_model_name"])
def test_a_flag_of_the_operators_own_is_refused_however_it_is_written(written: str) -> None:
    p = decide(Observed(slm(engine={"version": "0.32.0", "extraArgs": [written]})))
    assert [(e.type, e.action, e.reason) for e in p.events] == [("Warning", "Accepted", "InvalidSpec")]
    assert condition(p, "Accepted")[:2] == ("False", "InvalidSpec")
    assert " is not allowed: " in condition(p, "Accepted")[2]


def test_a_strangers_service_is_a_conflict_and_nothing_is_written() -> None:
    stranger = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "support", "uid": "x"}}
    p = decide(Observed(slm(), children={Ref.of(stranger): stranger}))
    assert (p.apply, p.delete) == ((), ())
    assert p.requeue_after == 30
    assert condition(p, "Accepted") == (
        "False",
        "NameConflict",
        'a Service named "support" exists and is not ours; it is left as it is and nothing is started. '
        "Delete or rename it, or give this SLMDeployment another name",
    )


def test_an_object_of_an_earlier_deployment_of_the_same_name_is_a_strangers() -> None:
    old = decide(Observed(slm())).apply
    service = next(stored(m) for m in old if m["kind"] == "Service")
    service["metadata"]["ownerReferences"] = [service["metadata"]["ownerReferences"][0] | {"uid": "an-earlier-uid"}]
    p = decide(Observed(slm(), children={Ref.of(service): service}))
    assert condition(p, "Accepted")[1:] == (
        "NameConflict",
        'a Service named "support" exists and is not ours; it is left as it is and nothing is started. '
        "It belonged to an earlier SLMDeployment of this name and goes by itself",
    )


def test_a_write_that_the_api_server_refuses_is_told_in_its_words() -> None:
    failure = WriteFailure(Ref("v1", "PersistentVolumeClaim", "support-models"), "spec is immutable after creation")
    p = decide(Observed(slm(), failures=(failure,)))
    assert condition(p, "Accepted") == (
        "False",
        "ChildRefused",
        "the API server refuses PersistentVolumeClaim support-models: spec is immutable after creation",
    )
    assert p.apply != ()


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    observed = applied(slm(), **counts(1, 1))
    first = decide(observed)
    later = plan(
        Observed(observed.slm | {"status": first.status}, children=observed.children), CONFIG, NOW + timedelta(hours=1)
    )
    assert later.status == first.status
    assert later.events == ()


def test_events_tell_what_changed_and_no_more() -> None:
    first = decide(Observed(slm()))
    assert [(e.type, e.action, e.reason) for e in first.events] == [
        ("Normal", "Accepted", "Accepted"),
        ("Normal", "Progressing", "Scaling"),
    ]
    bad = pod(container={"state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}})
    observed = applied(slm() | {"status": first.status}, bad, **counts(1, 0))
    assert [(e.type, e.action, e.reason) for e in decide(observed).events] == [
        ("Warning", "Available", "ImagePull"),
    ]


def test_what_keeps_one_replica_of_two_from_being_ready_is_worth_an_event() -> None:
    broken = pod("support-2", container={"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}})
    before = decide(applied(slm(replicas=2), pod(ready=True), **counts(2, 1)))
    after = decide(applied(slm(replicas=2) | {"status": before.status}, pod(ready=True), broken, **counts(2, 1)))
    assert [(e.type, e.action, e.reason) for e in after.events] == [("Warning", "Ready", "ImagePull")]


def test_a_deadline_that_passed_is_reported_with_the_deployments_words() -> None:
    late = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "ReplicaSet timed out",
    }
    p = decide(applied(slm(replicas=2), conditions=[late], **counts(2, 1)))
    assert condition(p, "Progressing") == ("False", "DeadlineExceeded", "ReplicaSet timed out")
    assert condition(p, "Ready") == ("False", "DeadlineExceeded", "ReplicaSet timed out")


def test_gpus_are_those_of_all_desired_replicas() -> None:
    assert decide(Observed(slm(replicas=3, parallelism={"tensor": 2}))).status["gpus"] == 6
    assert decide(Observed(slm(accelerator={"class": "cpu"}))).status["gpus"] == 0


def test_what_a_newer_operator_wrote_into_the_status_does_not_stop_an_older_one() -> None:
    newer = {
        "engine": {
            "version": "0.32.0",
            "image": "x",
            "later": [],
            "adjusted": [{"field": "f", "flag": "--f", "why": "w", "later": 1}],
        },
        "revision": {"name": "r", "renderer": "9"},
    }
    children = applied(slm(), **counts(1, 1)).children
    p = decide(Observed(slm(replicas="three") | {"status": newer}, children=children))
    adjusted = [{"field": "f", "flag": "--f", "why": "w"}]
    assert p.status["engine"] == {"version": "0.32.0", "image": "x", "adjusted": adjusted}


def test_a_refusal_of_any_length_fits_into_the_condition() -> None:
    failure = WriteFailure(Ref("apps/v1", "Deployment", "support"), "x" * 5000)
    assert len(condition(decide(Observed(slm(), failures=(failure,))), "Accepted")[2]) == 1024


def test_a_paused_fleet_is_told_as_it_is_and_not_as_it_was_asked_for() -> None:
    running = applied(slm(replicas=3), **counts(3, 3))
    before = decide(running).status
    asked = slm(replicas=0, paused=True, engine={"version": "0.33.0"}) | {"status": before}
    p = decide(Observed(asked, children=running.children))
    assert (p.status["ready"], p.status["engine"]) == ("3/3", before["engine"])
    assert condition(p, "Available")[:2] == ("True", "AtLeastOneReady")
    assert condition(p, "Progressing")[2].endswith("; the spec has changes that wait")


@pytest.mark.parametrize(("replicas", "phase"), [(3, "Scaling"), (0, "Scaling")])
def test_other_replicas_are_scaling_and_no_rollout(replicas: int, phase: str) -> None:
    running = applied(slm(replicas=1), **counts(1, 1))
    p = decide(Observed(slm(replicas=replicas), children=running.children))
    assert condition(p, "Progressing")[1] == "Scaling"
    assert p.status["phase"] == phase


def test_a_url_is_only_told_once_the_service_is_ours() -> None:
    stranger = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "support", "uid": "x"}}
    assert decide(Observed(slm(), children={Ref.of(stranger): stranger})).status["url"] == ""


def test_an_affinity_that_has_no_pods_structure_is_refused_by_its_path() -> None:
    p = decide(Observed(slm(pod={"affinity": {"nodeAffinity": "foo"}})))
    assert condition(p, "Accepted")[2].startswith("spec.pod.affinity.nodeAffinity: not the structure that a pod has")


COLD_START = ColdStartStatus(
    starts=3, **{phase: PhaseSeconds(p50=10, p90=20) for phase in ("scheduling", "pulling", "loading", "total")}
)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"paused": True},
        {"engine": {"version": "0.32.0", "maxModelLen": 4096}},
        {"accelerator": {"class": "nvidia-x9"}},  # refused
    ],
)
def test_how_long_starts_take_outlasts_what_nobody_measured_again(change: dict[str, Any]) -> None:
    observed = replace(applied(slm(), **counts(1, 1)), cold_start=COLD_START)
    told = decide(observed).status
    assert told["coldStart"] == COLD_START.to_manifest()
    changed = slm(**change) | {"status": told}
    assert decide(replace(observed, slm=changed, cold_start=None)).status["coldStart"] == told["coldStart"]
