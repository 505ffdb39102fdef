"""Why replicas are not ready: the words of whoever knows best, found for each kind of trouble."""

from datetime import timedelta
from typing import Any

import pytest

from slmfleet.core.types import LogRequest, PodEventsRequest

from .make import NOW, applied, condition, counts, decide, pod, slm, terminated

MAX_LEN_LOG = (
    "(APIServer pid=1)   Value error, User-specified max_model_len (4096) is greater than the derived max_model_len "
    "(max_position_embeddings=2048 or model_max_length=None in model's config.json). To allow overriding this maximum, "
    "set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1. [type=value_error, input_value=ArgsKwargs(), input_type=ArgsKwargs]\n"
    "(APIServer pid=1)     For further information visit https://errors.pydantic.dev/2.12/v/value_error\n"
)


UNSCHEDULABLE = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
QUOTA = 'pods "support-x" is forbidden: exceeded quota: gpus'


@pytest.mark.parametrize(
    ("it", "deployment", "reason", "words", "phase"),
    [
        (
            pod(
                conditions=[
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": UNSCHEDULABLE}
                ]
            ),
            {},
            "Unschedulable",
            f"pod support-1: {UNSCHEDULABLE}",
            "Pending",
        ),
        (
            pod(
                container={
                    "state": {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}}
                }
            ),
            {},
            "ImagePull",
            'pod support-1: ImagePullBackOff: Back-off pulling image "x"',
            "Failed",
        ),
        (
            pod(container={"state": {"waiting": {"reason": "SignatureValidationFailed", "message": "none is by ci"}}}),
            {},
            "ImagePull",
            "pod support-1: SignatureValidationFailed: none is by ci",
            "Failed",
        ),
        (
            pod(
                container={
                    "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "hf" not found'}}
                }
            ),
            {},
            "SecretMissing",
            'pod support-1: secret "hf" not found: create it, or correct spec.model.secretRef or spec.pod',
            "Failed",
        ),
        (
            pod(
                container={
                    "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'configmap "t" not found'}}
                }
            ),
            {},
            "ConfigMissing",
            'pod support-1: configmap "t" not found: create it, or correct spec.pod',
            "Failed",
        ),
        (
            pod(container=terminated(137, reason="OOMKilled")),
            {},
            "CrashLoop",
            "pod support-1: the engine was killed because it used more memory than its limit "
            "(raise spec.pod.resources.limits.memory) (exit code 137)",
            "Failed",
        ),
        (
            pod(container=terminated(0)),
            {},
            "CrashLoop",
            "pod support-1: the engine ended by itself (vLLM exits 0 when its engine process dies while it serves) (exit code 0)",
            "Failed",
        ),
        (
            pod(phase="Failed", reason="Evicted", message="The node was low on resource: ephemeral-storage."),
            {},
            "PodEnded",
            "pod support-1 ended: Evicted: The node was low on resource: ephemeral-storage.",
            "Failed",
        ),
        (
            pod(),
            {"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": QUOTA}]},
            "PodRefused",
            f"no pod can be created: {QUOTA}",
            "Failed",
        ),
    ],
)
def test_a_replica_that_is_not_ready_says_why(
    it: dict[str, Any], deployment: dict[str, Any], reason: str, words: str, phase: str
) -> None:
    p = decide(applied(slm(), it, **counts(1, 0), **deployment))
    assert condition(p, "Available") == ("False", reason, words)
    assert condition(p, "Ready") == ("False", reason, words)
    assert p.status["phase"] == phase


def test_a_crash_is_explained_by_the_engines_own_log() -> None:
    p = decide(applied(slm(), pod(container=terminated(1)), answers={"c1": MAX_LEN_LOG}, **counts(1, 0)))
    assert condition(p, "Available")[1:] == (
        "CrashLoop",
        "pod support-1: the engine exited with 1: User-specified max_model_len (4096) is greater than the derived "
        "max_model_len (max_position_embeddings=2048 or model_max_length=None in model's config.json) "
        "(lower spec.engine.maxModelLen to what the model supports, or leave it out)",
    )


def test_a_container_that_the_runtime_cannot_start_is_explained_in_the_runtimes_words() -> None:
    status = terminated(128, reason="StartError")
    status["lastState"]["terminated"]["message"] = "failed to create task: mkdir /models/x: read-only file system"
    p = decide(applied(slm(), pod(container=status), **counts(1, 0)))
    assert condition(p, "Available")[1:] == (
        "CrashLoop",
        "pod support-1: its container cannot be started: failed to create task: mkdir /models/x: read-only file system",
    )


def test_the_log_of_a_dead_engine_is_asked_for() -> None:
    p = decide(applied(slm(), pod(container=terminated(1)), **counts(1, 0)))
    assert p.inquiries == (LogRequest("support-1", "engine", "c1"),)


def test_a_death_is_told_when_its_log_can_no_longer_be_taken_for_that_of_the_successor() -> None:
    p = decide(applied(slm(), pod(container=terminated(1, previous=False)), **counts(1, 0)))
    assert p.inquiries == ()
    assert condition(p, "Available")[1] != "CrashLoop"


def test_while_an_engine_dies_again_its_last_death_goes_on_being_told() -> None:
    dying = {**terminated(1, container_id="c0"), **terminated(2, previous=False, container_id="c1")}
    p = decide(applied(slm(), pod(container=dying), **counts(1, 0)))
    assert p.inquiries == (LogRequest("support-1", "engine", "c0"),)
    assert condition(p, "Available")[1] == "CrashLoop"


def setting_up(seconds: int, name: str = "support-1") -> dict[str, Any]:
    since = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": since}
    return pod(name, container={"state": {"waiting": {"reason": "ContainerCreating"}}}, conditions=[scheduled])


@pytest.mark.parametrize(("seconds", "asked"), [(19, []), (20, ["1"]), (39, ["1"]), (40, ["2"])])
def test_a_pod_that_is_not_set_up_in_time_is_asked_about_again_and_again(seconds: int, asked: list[str]) -> None:
    p = decide(applied(slm(), setting_up(seconds), **counts(1, 0)))
    assert p.inquiries == tuple(PodEventsRequest("support-1-uid", f"support-1-uid/events/{n}") for n in asked)
    assert p.requeue_after == 20


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ('FailedMount: MountVolume.SetUp failed for volume "extra-ca" : configmap "ca" not found', "VolumeNotReady"),
        ("FailedCreatePodSandBox: no IP addresses available", "PodSetupFailed"),
        ("", "Starting"),
    ],
)
def test_a_pod_that_cannot_be_set_up_is_explained_by_the_kubelets_warning(words: str, reason: str) -> None:
    p = decide(applied(slm(), setting_up(30), answers={"support-1-uid/events/1": words}, **counts(1, 0)))
    status, said, message = condition(p, "Available")
    assert (status, said) == ("False", reason)
    assert not words or message == f"pod support-1: {words}"


def test_an_engine_that_recovered_needs_no_log_and_is_no_problem() -> None:
    p = decide(applied(slm(), pod(ready=True, container=terminated(1)), **counts(1, 1)))
    assert p.inquiries == ()
    assert condition(p, "Ready")[0] == "True"


def test_one_broken_replica_of_two_degrades_the_fleet_but_leaves_it_available() -> None:
    broken = pod("support-2", container={"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}})
    p = decide(applied(slm(replicas=2), pod(ready=True), broken, **counts(2, 1)))
    assert condition(p, "Available")[:2] == ("True", "AtLeastOneReady")
    assert condition(p, "Ready") == (
        "False",
        "ImagePull",
        "1 of 2 replicas answer; pod support-2: ErrImagePull: not found",
    )
    assert p.status["phase"] == "Degraded"


def test_one_death_speaks_for_all() -> None:
    dead = [pod(f"support-{n}", container=terminated(1, container_id=f"c{n}")) for n in range(5)]
    p = decide(applied(slm(replicas=5), *dead, **counts(5, 0)))
    assert [inquiry.key for inquiry in p.inquiries] == ["c0"]


def test_pods_that_are_set_up_are_asked_about_one_by_one_until_one_warns() -> None:
    def asked(answers: dict[str, str]) -> list[str]:
        pods = [setting_up(30, name=f"support-{n}") for n in range(5)]
        p = decide(applied(slm(replicas=5), *pods, answers=answers, **counts(5, 0)))
        return [inquiry.key.partition("-uid")[0] for inquiry in p.inquiries]

    nothing = {f"support-{n}-uid/events/1": "" for n in range(5)}
    assert asked({}) == ["support-0"]
    assert asked({"support-0-uid/events/1": ""}) == ["support-0", "support-1"]
    assert asked({"support-0-uid/events/1": "FailedMount: no"}) == ["support-0"]
    assert asked(nothing) == ["support-0", "support-1", "support-2"]


def evicted(name: str) -> dict[str, Any]:
    return pod(name, container=terminated(137), phase="Failed", reason="Evicted", message="low on memory")


def test_a_pod_that_is_over_and_replaced_is_no_problem() -> None:
    p = decide(applied(slm(), evicted("support-0"), pod(ready=True), **counts(1, 1)))
    assert condition(p, "Ready")[0] == "True"
    assert p.inquiries == ()


def test_a_death_before_the_engine_came_up_again_is_not_what_is_wrong_now() -> None:
    hung = pod(container=terminated(1) | {"started": True, "state": {"running": {"startedAt": "2026-01-02T01:00:00Z"}}})
    hung["status"]["conditions"][0]["lastTransitionTime"] = "2026-01-02T02:00:00Z"
    p = decide(applied(slm(), hung, **counts(1, 0)))
    assert condition(p, "Available")[1:] == (
        "NotAnswering",
        "pod support-1: the engine came up, but its health check fails now: it hangs or is overloaded",
    )
    assert p.inquiries == ()


def test_a_crash_says_more_than_a_pod_without_a_node() -> None:
    waiting = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": UNSCHEDULABLE}
    pods = [pod("support-0", conditions=[waiting]), pod("support-1", container=terminated(2))]
    assert condition(decide(applied(slm(replicas=2), *pods, **counts(2, 0))), "Available")[1] == "CrashLoop"


def test_a_scheduling_gate_is_told_in_the_schedulers_words() -> None:
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "Scheduling is blocked"}
    assert condition(decide(applied(slm(), pod(conditions=[gated]), **counts(1, 0))), "Available")[1] == "Unschedulable"


def test_an_engine_that_came_up_and_is_not_yet_ready_is_still_starting() -> None:
    up = pod(container={"started": True, "state": {"running": {"startedAt": "2026-01-02T01:00:00Z"}}})
    up["status"]["conditions"][0]["lastTransitionTime"] = "2026-01-02T00:59:59Z"
    assert condition(decide(applied(slm(), up, **counts(1, 0))), "Available")[1] == "Starting"
