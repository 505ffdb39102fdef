import base64
import logging

import pytest

from slmfleet.kube.errors import AlreadyExistsError, NotFoundError, RefusedError
from slmfleet.kube.keys import BYTES, own_key
from slmfleet.kube.resources import SECRETS, Manifest

from .fake import FakeClient

KEY = bytes(range(BYTES))


def secret(**data: str) -> Manifest:
    return {"metadata": {"name": "guard-key", "namespace": "slmfleet-system"}, "data": data}


async def key(client: FakeClient) -> bytes:
    return await own_key(client, "slmfleet-system", "guard-key", within=5.0)


async def test_the_first_start_makes_a_key_that_later_ones_find(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = FakeClient()
    made = await key(client)
    assert len(made) == BYTES
    assert await key(client) == made
    assert client.count("create", "Secret") == 1
    stored = client.objects["secrets", "slmfleet-system", "guard-key"]
    assert (stored["immutable"], stored["type"]) == (True, "Opaque")
    assert stored["data"]["key"] not in caplog.text
    assert await key(FakeClient()) != made


async def test_of_two_replicas_that_start_at_once_both_have_the_key_of_the_quicker_one() -> None:
    client = FakeClient()
    client.seed(SECRETS, secret(key=base64.b64encode(KEY).decode()))
    client.fail("get", "Secret", NotFoundError("not found"))
    assert await key(client) == KEY
    assert [call[0] for call in client.calls] == ["get", "create", "get"]


@pytest.mark.parametrize("data", [{}, {"key": ""}, {"key": "not base64!"}, {"key": "c2hvcnQ="}, {"other": "x"}])
async def test_a_secret_without_a_key_is_told_and_left_alone(data: dict[str, str]) -> None:
    client = FakeClient()
    client.seed(SECRETS, secret(**data))
    with pytest.raises(
        RefusedError, match=r"Secret slmfleet-system/guard-key holds no 32 bytes in data.key: delete it"
    ):
        await key(client)
    assert client.count("create", "Secret") == 0


@pytest.mark.parametrize("verb", ["get", "create"])
async def test_missing_rights_are_the_api_servers_to_tell(verb: str) -> None:
    client = FakeClient()
    client.fail(verb, "Secret", RefusedError('secrets "guard-key" is forbidden'))
    with pytest.raises(RefusedError, match="is forbidden"):
        await key(client)


async def test_a_key_that_vanishes_between_two_looks_is_an_error_for_the_next_try() -> None:
    client = FakeClient()
    client.fail("create", "Secret", AlreadyExistsError("already exists"))
    with pytest.raises(NotFoundError):
        await key(client)
