"""Server-side apply: what is written, and what is left alone."""

import asyncio

import pytest

from slmfleet.kube.apply import MANAGER, Applier, drifted
from slmfleet.kube.errors import NotLeaderError, RefusedError
from slmfleet.kube.resources import SERVICES, Manifest

from .fake import FakeClient
from .writing import OWNER, applier, service

UNCHANGED = ("Service", "apply", "unchanged")


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
