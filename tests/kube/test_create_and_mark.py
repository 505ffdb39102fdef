"""Children that are only created, and pods that are marked."""

import pytest

from slmfleet.kube.apply import MANAGER, MARKER, Applier
from slmfleet.kube.errors import ConflictError, KubeError, NotLeaderError, RefusedError, TransientError
from slmfleet.kube.resources import PODS, SECRETS, Manifest

from .fake import FakeClient
from .writing import OWNER, applier

SECRET: Manifest = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "token", "namespace": "chat"},
    "data": {},
}


async def test_a_child_that_is_only_created_is_posted_and_one_that_exists_counts_as_made() -> None:
    client = FakeClient()
    await applier(client).create(OWNER, SECRET)
    existing = client.seed(SECRETS, SECRET | {"data": {"token": "dGhlaXJz"}})
    await applier(client).create(OWNER, SECRET)
    assert client.calls == [("create", "Secret", "token")] * 2
    assert client.objects["secrets", "chat", "token"] == existing


@pytest.mark.parametrize(
    "error", [ConflictError("quota changed"), RefusedError("exceeded quota"), TransientError("busy")]
)
async def test_any_other_answer_to_a_creation_is_an_error(error: KubeError) -> None:
    client = FakeClient()
    client.fail("create", "Secret", error)
    with pytest.raises(type(error)):
        await applier(client).create(OWNER, SECRET)


async def test_a_creation_asks_first_whether_this_process_may_write() -> None:
    def fence() -> float:
        raise NotLeaderError("lease not held")

    client = FakeClient()
    with pytest.raises(NotLeaderError):
        await Applier(client, fence).create(OWNER, SECRET)
    assert client.calls == []


def engine(client: FakeClient) -> Manifest:
    labels = {"app": "vllm", "traffic": "true"}
    return client.seed(PODS, {"metadata": {"name": "p", "namespace": "chat", "labels": labels}, "spec": {}})


async def test_a_mark_changes_only_what_it_says_and_the_next_one_drops_the_rest_of_it() -> None:
    client = FakeClient()
    uid = engine(client)["metadata"]["uid"]
    marked = await applier(client).mark(
        "chat", "p", uid, {"traffic": "false", "since": "1"}, {"cost": "-1"}, about="drain"
    )
    assert marked["metadata"]["labels"] == {"app": "vllm", "traffic": "false", "since": "1"}
    back = await applier(client).mark("chat", "p", uid, {"traffic": "true"}, {}, about="drain")
    assert back["metadata"]["labels"] == {"app": "vllm", "traffic": "true"}
    assert not back["metadata"]["annotations"]
    assert not MANAGER.startswith(MARKER)  # an apply of the whole by one manager drops what it does not name


async def test_marks_about_different_things_leave_each_other_alone() -> None:
    client = FakeClient()
    uid = engine(client)["metadata"]["uid"]
    await applier(client).mark("chat", "p", uid, {"traffic": "false"}, {}, about="drain")
    await applier(client).mark("chat", "p", uid, {"legal": "true"}, {}, about="adapters")
    both = await applier(client).mark("chat", "p", uid, {"traffic": "true"}, {}, about="drain")
    assert both["metadata"]["labels"] == {"app": "vllm", "traffic": "true", "legal": "true"}


async def test_a_mark_is_for_the_very_pod_that_was_seen_and_for_the_leader() -> None:
    client = FakeClient()
    engine(client)
    with pytest.raises(ConflictError):
        await applier(client).mark("chat", "p", "another", {"traffic": "false"}, {}, about="drain")

    def lost() -> float:
        raise NotLeaderError("lost")

    with pytest.raises(NotLeaderError):
        await Applier(client, lost).mark("chat", "p", "another", {"traffic": "false"}, {}, about="drain")
