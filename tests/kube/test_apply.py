import asyncio

import pytest

from slmfleet.kube.apply import MANAGER, MARKER, Applier, drifted
from slmfleet.kube.errors import ConflictError, KubeError, NotLeaderError, RefusedError, TransientError
from slmfleet.kube.resources import PODS, SECRETS, SERVICES, Manifest

from .fake import FakeClient

OWNER = ("chat", "support")
UNCHANGED = ("Service", "apply", "unchanged")


def service(**spec: object) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "support", "namespace": "chat", "labels": {"a": "b"}},
        "spec": spec,
    }


def applier(client: FakeClient) -> Applier:
    return Applier(client, lambda: 30.0)


@pytest.mark.parametrize(
    ("desired", "live", "expected"),
    [
        ({"a": 1}, {"a": 1, "default": 2}, False),
        ({"a": 1}, {"a": 2}, True),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, True),
        ({"a": 1}, None, True),
        ({"a": {}}, {}, False),
        ({"a": {"b": ""}}, {}, False),
        ({"a": []}, {}, False),
        ({"a": ""}, {}, False),
        ({"a": False}, {}, False),
        ({"a": False}, {"a": True}, True),
        ({"a": [{"n": 1}]}, {"a": [{"n": 1, "default": 2}]}, False),
        ({"a": [{"n": 1}]}, {"a": [{"n": 1}, {"n": 2}]}, True),
        ({"a": [{"n": 1}, {"n": 2}]}, {"a": [{"n": 2}, {"n": 1}]}, True),
        ({"a": ["x"]}, {"a": "x"}, True),
        ({"a": {"b": 1}}, {"a": "text"}, True),
        ({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}, False),
        ({"limits": {"cpu": "0.5"}}, {"limits": {"cpu": "500m"}}, False),
        ({"requests": {"memory": "1024Mi"}}, {"requests": {"memory": "1Gi"}}, False),
        ({"requests": {"memory": "1G"}}, {"requests": {"memory": "1Gi"}}, True),
        ({"limits": {"gpu": 1}}, {"limits": {"gpu": "1"}}, False),
        ({"sizeLimit": "2048Mi"}, {"sizeLimit": "2Gi"}, False),
        ({"env": [{"value": "1000m"}]}, {"env": [{"value": "1"}]}, True),
        ({"from": [{"podSelector": {}}]}, {"from": [{"podSelector": {}}]}, False),
        ({"from": [{"podSelector": {}}]}, {"from": [{"podSelector": {}, "namespaceSelector": {}}]}, True),
        ({"from": [{"podSelector": {}, "namespaceSelector": {}}]}, {"from": [{"podSelector": {}}]}, True),
    ],
)
def test_only_a_field_that_we_set_can_drift(desired: object, live: object, expected: bool) -> None:
    assert drifted(desired, live) is expected


async def test_a_child_that_is_as_it_should_be_is_written_once_and_then_left_alone() -> None:
    client = FakeClient()
    writer = applier(client)
    live = await writer.apply(OWNER, service(port=80), None)
    assert await writer.apply(OWNER, service(port=80), live) is None
    assert client.count("apply", "Service") == 1
    assert client.results == [UNCHANGED]


async def test_a_new_process_applies_everything_once() -> None:
    client = FakeClient()
    live = await applier(client).apply(OWNER, service(port=80), None)
    successor = applier(client)
    again = await successor.apply(OWNER, service(port=80), live)
    assert again == live
    assert await successor.apply(OWNER, service(port=80), again) is None


async def test_a_field_that_somebody_changed_is_set_back() -> None:
    client = FakeClient()
    writer = applier(client)
    await writer.apply(OWNER, service(port=80), None)
    live = client.seed(SERVICES, service(port=81))
    written = await writer.apply(OWNER, service(port=80), live)
    assert written is not None
    assert written["spec"] == {"port": 80}


@pytest.mark.parametrize("refused", [True, False])
async def test_what_somebody_put_into_a_list_of_ours_goes_even_if_an_apply_leaves_it(
    monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    client = FakeClient()
    writer = applier(client)
    await writer.apply(OWNER, service(ports=[80]), None)
    live = client.seed(SERVICES, service(ports=[81]))

    async def merging_lists_by_key(*args: object, **kwargs: object) -> Manifest:
        if refused:
            raise RefusedError("spec.ports[1].name: Duplicate value")
        return live

    monkeypatch.setattr(client, "apply", merging_lists_by_key)
    written = await writer.apply(OWNER, service(ports=[80]), live)
    assert written is not None
    assert written["spec"] == {"ports": [80]}
    assert await writer.apply(OWNER, service(ports=[80]), written) is None


async def test_a_manifest_that_is_refused_for_itself_is_not_tried_in_another_way() -> None:
    client = FakeClient()
    writer = applier(client)
    live = await writer.apply(OWNER, service(ports=[80]), None)
    client.fail("apply", "Service", RefusedError("a quota"))
    with pytest.raises(RefusedError):
        await applier(client).apply(OWNER, service(ports=[80]), live)
    assert client.count("merge", "Service") == 0


async def test_a_field_that_is_no_longer_desired_is_removed() -> None:
    client = FakeClient()
    writer = applier(client)
    live = await writer.apply(OWNER, service(port=80, clientIP=True), None)
    written = await writer.apply(OWNER, service(port=80), live)
    assert written is not None
    assert written["spec"] == {"port": 80}


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


async def test_nothing_is_written_without_the_lease() -> None:
    def fence() -> float:
        raise NotLeaderError("not held")

    client = FakeClient()
    writer = Applier(client, fence)
    with pytest.raises(NotLeaderError):
        await writer.apply(OWNER, service(port=80), None)
    with pytest.raises(NotLeaderError):
        await writer.delete(OWNER, SERVICES, "support", "uid-1")
    assert client.calls == []


async def test_writes_carry_one_field_manager_and_force_only_over_what_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient()
    seen = []
    apply = client.apply

    async def spy(*args: object, **kwargs: object) -> Manifest:
        seen.append(kwargs)
        return await apply(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(client, "apply", spy)
    writer = applier(client)
    live = await writer.apply(OWNER, service(port=80), None)
    await writer.apply(OWNER, service(port=81), live)
    assert seen == [
        {"manager": MANAGER, "force": False, "within": 30.0},
        {"manager": MANAGER, "force": True, "within": 30.0},
    ]


@pytest.mark.looptime
async def test_somebody_who_changes_the_same_thing_back_each_time_does_not_make_us_write_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = FakeClient()
    writer = applier(client)
    await writer.apply(OWNER, service(ports=[80]), None)
    for _ in range(20):
        await writer.apply(OWNER, service(ports=[80]), client.seed(SERVICES, service(ports=[80, 81])))
    assert client.count("apply", "Service") == 1 + 3
    assert caplog.text.count("Service support is changed back by somebody else") == 1
    await writer.apply(OWNER, service(ports=[80]), client.seed(SERVICES, service(ports=[80, 82])))
    assert client.count("apply", "Service") == 1 + 3 + 1


@pytest.mark.looptime
async def test_what_somebody_changes_back_is_corrected_again_after_a_truce() -> None:
    client = FakeClient()
    writer = applier(client)
    await writer.apply(OWNER, service(port=80), None)
    for seconds in (0, 400, 400, 400, 400, 400):
        await asyncio.sleep(seconds)
        live = client.seed(SERVICES, service(port=81))
        assert await writer.apply(OWNER, service(port=80), live) is not None


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
    marked = await applier(client).mark("chat", "p", uid, {"traffic": "false", "since": "1"}, {"cost": "-1"})
    assert marked["metadata"]["labels"] == {"app": "vllm", "traffic": "false", "since": "1"}
    back = await applier(client).mark("chat", "p", uid, {"traffic": "true"}, {})
    assert back["metadata"]["labels"] == {"app": "vllm", "traffic": "true"}
    assert not back["metadata"]["annotations"]
    assert len({MARKER, MANAGER}) == 2  # an apply of the whole by one manager drops what it does not name


async def test_a_mark_is_for_the_very_pod_that_was_seen_and_for_the_leader() -> None:
    client = FakeClient()
    engine(client)
    with pytest.raises(ConflictError):
        await applier(client).mark("chat", "p", "another", {"traffic": "false"}, {})

    def lost() -> float:
        raise NotLeaderError("lost")

    with pytest.raises(NotLeaderError):
        await Applier(client, lost).mark("chat", "p", "another", {"traffic": "false"}, {})
