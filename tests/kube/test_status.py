import pytest

from slmfleet.kube.errors import ConflictError, NotFoundError, NotLeaderError
from slmfleet.kube.resources import Manifest, Resource
from slmfleet.kube.status import StatusWriter

from .fake import FakeClient

FLEETS = Resource("slmfleet.dev/v1alpha1", "SLMDeployment", "slmdeployments")
SKIPPED = ("SLMDeployment", "apply-status", "unchanged")


def seeded(client: FakeClient) -> Manifest:
    return client.seed(FLEETS, {"metadata": {"name": "support", "namespace": "chat"}, "spec": {"replicas": 1}})


def writer(client: FakeClient) -> StatusWriter:
    return StatusWriter(client, lambda: 30.0)


async def test_a_status_that_says_the_same_is_not_written_again() -> None:
    client = FakeClient()
    status = writer(client)
    written = await status.write(FLEETS, seeded(client), {"ready": "0/1"})
    assert written is not None
    assert written["status"] == {"ready": "0/1"}
    assert await status.write(FLEETS, written, {"ready": "0/1"}) is None
    assert client.results == [SKIPPED]


async def test_a_new_process_does_not_write_the_status_that_is_there() -> None:
    client = FakeClient()
    written = await writer(client).write(FLEETS, seeded(client), {"ready": "0/1"})
    assert written is not None
    assert await writer(client).write(FLEETS, written, {"ready": "0/1"}) is None


async def test_defaults_that_the_schema_adds_are_no_change() -> None:
    client = FakeClient()
    status = writer(client)
    written = await status.write(FLEETS, seeded(client), {"ready": "0/1"})
    assert written is not None
    written["status"]["replicas"] = 0
    assert await status.write(FLEETS, written, {"ready": "0/1"}) is None


async def test_what_is_no_longer_said_is_removed() -> None:
    client = FakeClient()
    status = writer(client)
    written = await status.write(FLEETS, seeded(client), {"ready": "0/1", "url": "http://x"})
    assert written is not None
    written = await status.write(FLEETS, written, {"ready": "0/1"})
    assert written is not None
    assert written["status"] == {"ready": "0/1"}


async def test_a_status_that_somebody_changed_is_set_right() -> None:
    client = FakeClient()
    status = writer(client)
    await status.write(FLEETS, seeded(client), {"ready": "0/1"})
    changed = client.seed(FLEETS, client.objects["slmdeployments", "chat", "support"] | {"status": {"ready": "9/9"}})
    written = await status.write(FLEETS, changed, {"ready": "0/1"})
    assert written is not None
    assert written["status"] == {"ready": "0/1"}


async def test_the_status_of_a_deleted_object_does_not_land_on_its_successor() -> None:
    client = FakeClient()
    live = seeded(client)
    client.remove(FLEETS, "chat", "support")
    with pytest.raises((ConflictError, NotFoundError)):
        await writer(client).write(FLEETS, live, {"ready": "0/1"})
    seeded(client)
    with pytest.raises(ConflictError):
        await writer(client).write(FLEETS, live, {"ready": "0/1"})
    assert "status" not in client.objects["slmdeployments", "chat", "support"]


async def test_spec_and_labels_are_not_part_of_the_write() -> None:
    client = FakeClient()
    live = seeded(client)
    await writer(client).write(FLEETS, live, {"ready": "0/1"})
    applied = next(by["slmfleet-status"] for by in client._applied.values() if "slmfleet-status" in by)
    assert applied == {
        "apiVersion": "slmfleet.dev/v1alpha1",
        "kind": "SLMDeployment",
        "metadata": {"name": "support", "namespace": "chat", "uid": "uid-1"},
        "status": {"ready": "0/1"},
    }


async def test_nothing_is_written_without_the_lease() -> None:
    def fence() -> float:
        raise NotLeaderError("not held")

    client = FakeClient()
    live = seeded(client)
    with pytest.raises(NotLeaderError):
        await StatusWriter(client, fence).write(FLEETS, live, {"ready": "0/1"})
    assert client.calls == []
