"""What a pod's manifest says of it, and what it does not say."""

from typing import Any

import pytest

from slmfleet.core.pod_status import condition, engine_status, is_ending, is_finished, is_ready

BARE: dict[str, Any] = {"metadata": {"name": "a"}}
EMPTY: dict[str, Any] = BARE | {"status": {"conditions": None, "containerStatuses": None}}


@pytest.mark.parametrize("pod", [BARE, EMPTY], ids=["no status", "lists that are null"])
def test_a_pod_of_which_nothing_is_known_is_neither_ready_nor_ending_nor_finished(pod: dict[str, Any]) -> None:
    assert not is_ready(pod)
    assert not is_ending(pod)
    assert not is_finished(pod)
    assert condition(pod, "Ready") == {}
    assert engine_status(pod) == {}


@pytest.mark.parametrize(("status", "ready"), [("True", True), ("False", False), ("Unknown", False)])
def test_a_pod_is_ready_by_its_condition(status: str, ready: bool) -> None:
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": status}]
    assert is_ready(BARE | {"status": {"conditions": conditions}}) is ready


@pytest.mark.parametrize(
    ("phase", "finished"),
    [("Pending", False), ("Running", False), ("Unknown", False), ("Succeeded", True), ("Failed", True)],
)
def test_a_pod_is_finished_when_it_will_never_run_again(phase: str, finished: bool) -> None:
    assert is_finished(BARE | {"status": {"phase": phase}}) is finished


def test_a_pod_that_was_deleted_is_ending() -> None:
    assert is_ending({"metadata": {"name": "a", "deletionTimestamp": "2026-01-02T03:04:05Z"}})


def test_the_engine_is_told_apart_from_other_containers() -> None:
    statuses = [{"name": "istio-proxy", "restartCount": 3}, {"name": "engine", "restartCount": 1}]
    assert engine_status(BARE | {"status": {"containerStatuses": statuses}})["restartCount"] == 1
