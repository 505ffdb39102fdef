"""How large a request may be."""

import pytest

from slmfleet.guard.asgi import Receive, Scope, Send

from .asgi import CHAT, CHUNKED, Pod, engine_of, exchange


@pytest.mark.parametrize(("size", "status"), [(0, 200), (100, 200), (101, 413), (10**18, 413)])
def test_a_body_that_says_it_is_too_large_is_413_before_it_comes(pod: Pod, size: int, status: int) -> None:
    answer = pod.call("POST", CHAT, headers=[(b"content-length", str(size).encode())])
    assert answer.status == status
    if status == 413:
        assert answer.error["message"] == (
            f"the request body has {size} bytes, more than the 100 that this fleet takes: "
            "send less, or raise spec.guard.maxBody of the SLMDeployment"
        )
        assert engine_of(pod).reached == []
        # The server reads on and throws the body away, so that its sender gets to see the answer.
        assert b"connection" not in answer.headers


def test_a_chunked_body_is_counted(pod: Pod) -> None:
    answer = pod.call("POST", CHAT, headers=CHUNKED, body=[b"x" * 50, b"x" * 50])
    assert answer.status == 200
    assert len(engine_of(pod).read) == 100


def test_a_chunked_body_beyond_the_limit_is_413_at_once_and_the_engine_sees_it_broken_off(pod: Pod) -> None:
    answer = pod.call("POST", CHAT, headers=CHUNKED, body=[b"x" * 60, b"x" * 60, b"x" * 60])
    assert (answer.status, len(answer.messages)) == (413, 2)
    assert answer.error["message"].startswith("the request body has 120 bytes and more, more than the 100 ")
    assert answer.headers[b"connection"] == b"close"
    assert len(engine_of(pod).read) == 60


async def test_what_the_engine_answers_to_a_broken_off_body_is_not_sent(pod: Pod) -> None:
    async def polite(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": b"client left"})

    guard = Pod(pod.root, engine=polite).guard
    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": CHUNKED}
    messages = await exchange(guard, scope, [b"x" * 101, b""])
    assert [message.get("status") for message in messages] == [413, None]


async def test_an_answer_that_has_begun_is_not_answered_twice(pod: Pod) -> None:
    async def eager(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"broken off"})

    guard = Pod(pod.root, engine=eager).guard
    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": CHUNKED}
    messages = await exchange(guard, scope, [b"x" * 101, b""])
    assert [message.get("status", message.get("body")) for message in messages] == [200, b"broken off"]


def test_an_endless_body_of_a_refused_request_ends_its_connection(pod: Pod) -> None:
    assert pod.call("POST", "/tokenize", headers=CHUNKED).headers[b"connection"] == b"close"
    assert b"connection" not in pod.call("POST", "/tokenize").headers
