"""Whose an object is: a stranger's is never adopted, and only the one that was seen is written or deleted."""

import pytest

from slmfleet.kube.errors import ConflictError, KubeError, TransientError
from slmfleet.kube.resources import SERVICES, Manifest

from .fake import FakeClient
from .writing import OWNER, applier, service


async def test_an_object_of_the_same_name_but_another_uid_is_not_written() -> None:
    client = FakeClient()
    writer = applier(client)
    live = await writer.apply(OWNER, service(port=80), None)
    client.remove(SERVICES, "chat", "support")
    client.seed(SERVICES, service(port=99))
    with pytest.raises(ConflictError):
        await writer.apply(OWNER, service(port=81), live)
    assert client.objects["services", "chat", "support"]["spec"] == {"port": 99}


async def test_a_name_that_is_taken_between_the_look_and_the_first_apply_is_not_adopted() -> None:
    client = FakeClient()
    client.seed(SERVICES, service(port=99))
    with pytest.raises(ConflictError):
        await applier(client).apply(OWNER, service(port=80), None)
    assert client.objects["services", "chat", "support"]["spec"] == {"port": 99}


async def test_a_strangers_object_that_agrees_with_ours_is_given_back_as_it_was() -> None:
    client = FakeClient()
    theirs: Manifest = {
        "metadata": {"name": "support", "namespace": "chat", "labels": {"a": "b"}},
        "spec": {"port": 80},
    }
    stranger = client.seed(SERVICES, theirs)
    ours = service(port=80, type="ClusterIP")
    ours["metadata"] |= {"ownerReferences": [{"uid": "fleet", "controller": True}]}
    ours["metadata"]["labels"] |= {"slmfleet.dev/deployment": "support"}
    with pytest.raises(ConflictError, match="Service support was made by somebody else"):
        await applier(client).apply(OWNER, ours, None)
    left = client.objects["services", "chat", "support"]
    assert left["spec"] == {"port": 80}
    assert left["metadata"] | {"resourceVersion": "", "generation": 0} == stranger["metadata"] | {
        "resourceVersion": "",
        "generation": 0,
    }


@pytest.mark.parametrize(("failures", "expected"), [(2, ConflictError), (3, TransientError)])
async def test_giving_back_is_tried_again_and_its_failure_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failures: int, expected: type[KubeError]
) -> None:
    client = FakeClient()
    client.seed(SERVICES, service(port=80))
    apply, calls = client.apply, iter(range(9))

    async def flaky(*args: object, **kwargs: object) -> Manifest:
        if next(calls) in range(1, failures + 1):
            raise TransientError("busy")
        return await apply(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(client, "apply", flaky)
    with pytest.raises(expected):
        await applier(client).apply(OWNER, service(port=80, ours=True), None)
    told = "Service chat/support is somebody else's but carries our labels and owner" in caplog.text
    assert told is (failures == 3)
    assert ("ours" in client.objects["services", "chat", "support"]["spec"]) is told


async def test_our_own_creation_that_was_thought_to_have_failed_is_no_strangers() -> None:
    client = FakeClient()
    await applier(client).apply(OWNER, service(port=80), None)
    assert await applier(client).apply(OWNER, service(port=81), None) is not None
    assert client.objects["services", "chat", "support"]["spec"] == {"port": 81}


async def test_a_merge_after_a_creation_is_bound_to_the_created_object(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient()
    merged: list[Manifest] = []

    async def a_webhook_appends(*_: object, **__: object) -> Manifest:
        return client.seed(SERVICES, service(ports=[80, 81]))

    async def merge(_: object, __: str, manifest: Manifest, **___: object) -> Manifest:
        merged.append(manifest)
        return client.seed(SERVICES, service(ports=[80]))

    monkeypatch.setattr(client, "apply", a_webhook_appends)
    monkeypatch.setattr(client, "merge", merge)
    await applier(client).apply(OWNER, service(ports=[80]), None)
    assert [manifest["metadata"]["uid"] for manifest in merged] == ["uid-1"]


async def test_a_child_that_was_deleted_and_created_anew_is_applied_again() -> None:
    client = FakeClient()
    writer = applier(client)
    await writer.apply(OWNER, service(port=80), None)
    client.remove(SERVICES, "chat", "support")
    live = client.seed(SERVICES, service(port=80))
    assert await writer.apply(OWNER, service(port=80), live) is not None


async def test_only_the_object_that_was_seen_is_deleted() -> None:
    client = FakeClient()
    client.seed(SERVICES, service(port=80))
    with pytest.raises(ConflictError):
        await applier(client).delete(OWNER, SERVICES, "support", "uid-of-another")
    assert ("services", "chat", "support") in client.objects
    await applier(client).delete(OWNER, SERVICES, "support", "uid-1")
    assert client.objects == {}


async def test_deleting_what_is_gone_is_no_error() -> None:
    await applier(FakeClient()).delete(OWNER, SERVICES, "support", "uid-1")
