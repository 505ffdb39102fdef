"""How far the pod of a Job is, or why it does not run."""

from typing import Any

import pytest

from slmfleet.kube.errors import TransientError
from slmfleet.kube.job_progress import ProgressOfJobs
from slmfleet.kube.resources import POD_EVENTS, PODS, Manifest

from .fake import FakeClient

RUNNING = {"name": "fetch", "state": {"running": {}}}


def pod(name: str = "a", *states: Manifest, phase: str = "Running", created: str = "", **status: Any) -> Manifest:
    labels = {"batch.kubernetes.io/job-name": "fetch"}
    return {
        "metadata": {"name": name, "namespace": "chat", "labels": labels, "creationTimestamp": created},
        "status": {"phase": phase, "containerStatuses": list(states), **status},
    }


async def asked(client: FakeClient) -> str:
    return await ProgressOfJobs(client).of("chat", "fetch", key="k")


async def test_the_last_line_of_the_pod_that_runs_is_read_once() -> None:
    client = FakeClient()
    client.seed(PODS, pod("old", {"name": "fetch", "state": {"terminated": {}}}, phase="Failed", created="2026-01-02"))
    client.seed(PODS, pod("first", RUNNING, created="2026-01-01T00:00:00Z"))
    client.seed(PODS, pod("second", RUNNING, created="2026-01-01T00:00:05Z"))
    client.logs["second", False] = b"5 of 9 bytes\n"
    progress = ProgressOfJobs(client)
    assert [await progress.of("chat", "fetch", key="k") for _ in range(2)] == ["5 of 9 bytes"] * 2
    assert client.count("log", "Pod") == 1
    client.logs["second", False] = b"7 of 9 bytes\n"
    assert await progress.of("chat", "fetch", key="later") == "7 of 9 bytes"


UNSCHEDULABLE: Manifest = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no node has room"}]}
PULLING = {"name": "fetch", "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
CREATING = {"name": "fetch", "state": {"waiting": {"reason": "ContainerCreating"}}}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (pod(phase="Pending", **UNSCHEDULABLE), "no node has room"),
        (pod("a", PULLING, phase="Pending"), "ErrImagePull: not found"),
        (pod("a", CREATING, phase="Pending"), 'FailedMount: secret "s3" not found'),
        (pod("a", {"name": "fetch", "state": {"terminated": {}}}, phase="Succeeded"), ""),
    ],
    ids=["unschedulable", "no image", "no volume", "over"],
)
async def test_a_pod_that_does_not_run_says_why(made: Manifest, said: str) -> None:
    client = FakeClient()
    uid = client.seed(PODS, made)["metadata"]["uid"]
    event = {"involvedObject": {"uid": uid}, "type": "Warning", "reason": "FailedMount"}
    metadata = {"name": "e", "namespace": "chat", "creationTimestamp": "2026-01-01T00:00:00Z"}
    client.seed(POD_EVENTS, {"metadata": metadata, "message": 'secret "s3" not found', **event})
    assert await asked(client) == said


async def test_nothing_fails_where_nothing_can_be_read() -> None:
    client = FakeClient()
    assert await asked(client) == ""
    client.seed(PODS, pod("a", RUNNING))
    assert await asked(client) == ""  # no log
    client.fail("list", "Pod", TransientError("away"))
    assert await asked(client) == ""
