"""The kubelet's newest warning about a pod."""

from typing import Any

from slmfleet.kube.errors import TransientError
from slmfleet.kube.pod_events import latest_warning
from slmfleet.kube.resources import POD_EVENTS

from .fake import FakeClient


def event(name: str, reason: str, uid: str = "u1", type_: str = "Warning", **times: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "chat", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "involvedObject": {"uid": uid},
        "type": type_,
        "reason": reason,
        "message": f"message of {name}",
        **times,
    }


async def test_the_newest_warning_counts_whoever_posted_it() -> None:
    client = FakeClient()
    client.seed(POD_EVENTS, event("old", "FailedMount", lastTimestamp="2026-01-01T00:00:05Z"))
    client.seed(POD_EVENTS, event("new", "FailedAttachVolume", eventTime="2026-01-01T00:00:06.000001Z"))
    assert await latest_warning(client, "chat", "u1") == "FailedAttachVolume: message of new"


async def test_a_warning_that_something_normal_followed_is_over() -> None:
    client = FakeClient()
    client.seed(POD_EVENTS, event("mount", "FailedMount", lastTimestamp="2026-01-01T00:00:05Z"))
    client.seed(POD_EVENTS, event("pull", "Pulling", type_="Normal", lastTimestamp="2026-01-01T00:00:09Z"))
    assert await latest_warning(client, "chat", "u1") == ""


async def test_other_pods_normal_events_and_the_schedulers_are_left_out() -> None:
    client = FakeClient()
    client.seed(POD_EVENTS, event("other", "FailedMount", uid="u2"))
    client.seed(POD_EVENTS, event("normal", "Pulled", type_="Normal"))
    client.seed(POD_EVENTS, event("scheduler", "FailedScheduling"))
    assert await latest_warning(client, "chat", "u1") == ""


async def test_events_that_cannot_be_read_explain_nothing_and_fail_nothing() -> None:
    client = FakeClient()
    client.fail("list", "Event", TransientError("away"))
    assert await latest_warning(client, "chat", "u1") == ""
