import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from slmfleet.kube.errors import NotLeaderError, RefusedError
from slmfleet.kube.events import Recorder
from slmfleet.kube.resources import Manifest

from .fake import FakeClient

pytestmark = pytest.mark.looptime

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def wall() -> datetime:
    return START + timedelta(seconds=asyncio.get_running_loop().time())


def recorder(client: FakeClient) -> Recorder:
    return Recorder(client, lambda: 30.0, "slmfleet-0", wall)


def fleet(name: str = "support") -> Manifest:
    return {
        "apiVersion": "slmfleet.dev/v1alpha1",
        "kind": "SLMDeployment",
        "metadata": {"name": name, "namespace": "chat", "uid": f"uid-{name}"},
    }


async def say(recorder: Recorder, note: str = "2 of 2 replicas are ready", about: Manifest | None = None) -> None:
    await recorder.post(about or fleet(), kind="Normal", reason="Ready", action="Reconcile", note=note)


def posted(client: FakeClient) -> list[Manifest]:
    return [obj for (plural, _, _), obj in client.objects.items() if plural == "events"]


async def test_an_event_says_who_about_what_when_and_why() -> None:
    client = FakeClient()
    await say(recorder(client))
    (event,) = posted(client)
    name = event["metadata"]["name"]
    assert name.startswith("support.")
    assert {k: v for k, v in event.items() if k != "metadata"} == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "eventTime": "2026-01-02T03:04:05.000000Z",
        "reportingController": "slmfleet.dev/operator",
        "reportingInstance": "slmfleet-0",
        "action": "Reconcile",
        "reason": "Ready",
        "type": "Normal",
        "note": "2 of 2 replicas are ready",
        "regarding": {
            "apiVersion": "slmfleet.dev/v1alpha1",
            "kind": "SLMDeployment",
            "name": "support",
            "namespace": "chat",
            "uid": "uid-support",
        },
    }


async def test_a_repeat_within_ten_minutes_counts_up_the_same_event() -> None:
    client = FakeClient()
    recorder_ = recorder(client)
    for _ in range(3):
        await say(recorder_)
        await asyncio.sleep(60)
    (event,) = posted(client)
    assert event["series"] == {"count": 3, "lastObservedTime": "2026-01-02T03:06:05.000000Z"}
    assert event["eventTime"] == "2026-01-02T03:04:05.000000Z"


async def test_a_repeat_after_ten_minutes_is_a_new_event() -> None:
    client = FakeClient()
    recorder_ = recorder(client)
    await say(recorder_)
    await asyncio.sleep(601)
    await say(recorder_)
    assert [event.get("series") for event in posted(client)] == [None, None]


async def test_another_note_or_object_is_another_event() -> None:
    client = FakeClient()
    recorder_ = recorder(client)
    await say(recorder_)
    await say(recorder_, "1 of 2 replicas are ready")
    await say(recorder_, about=fleet("rag"))
    assert len(posted(client)) == 3


async def test_one_object_cannot_flood_and_does_not_silence_the_others() -> None:
    client = FakeClient()
    recorder_ = recorder(client)
    for number in range(40):
        await say(recorder_, f"note {number}")
    assert len(posted(client)) == 25
    await say(recorder_, about=fleet("rag"))
    assert len(posted(client)) == 26
    await asyncio.sleep(301)
    await say(recorder_, "one more")
    await say(recorder_, "and another")
    assert len(posted(client)) == 27


@pytest.mark.parametrize(("note", "size"), [("x" * 2000, 1024), ("ä" * 1000, 1023), ("x" * 1024, 1024)])
async def test_a_long_note_is_cut_to_whole_characters(note: str, size: int) -> None:
    client = FakeClient()
    await say(recorder(client), note)
    (event,) = posted(client)
    assert len(event["note"].encode()) == size
    assert event["note"].rstrip(".").strip(note[0]) == ""


async def test_a_lost_event_is_logged_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    client = FakeClient()
    client.fail("apply", "Event", RefusedError("the namespace is being terminated"))
    await say(recorder(client))
    assert posted(client) == []
    assert "event Ready (2 of 2 replicas are ready) not posted: the namespace is being terminated" in caplog.text


async def test_nothing_is_posted_without_the_lease(caplog: pytest.LogCaptureFixture) -> None:
    def fence() -> float:
        raise NotLeaderError("not held")

    client = FakeClient()
    await Recorder(client, fence, "slmfleet-0", wall).post(
        fleet(), kind="Normal", reason="Ready", action="Reconcile", note="x"
    )
    assert client.calls == []
    assert "not held" in caplog.text
