"""What the guard lets pass: routes, tokens, keys, kinds of connections."""

import asyncio
import json
from pathlib import Path

import pytest

from slmfleet.guard.asgi import Message, Receive, Scope, Send
from slmfleet.guard.middleware import MAX_BODY
from slmfleet.guard.pod_files import TOKEN_SECONDS

from .asgi import CHAT, CHUNKED, TOKEN, WITH_TOKEN, Pod, engine_of, exchange, locked


def test_a_clients_request_passes_untouched(pod: Pod) -> None:
    answer = pod.call("POST", CHAT, headers=[(b"content-length", b"5")], body=[b"hello"])
    assert (answer.status, answer.body) == (200, b"passed")
    assert answer.headers == {b"content-type": b"text/plain"}
    assert engine_of(pod).read == b"hello"


def test_pieces_of_a_stream_pass_one_by_one(pod: Pod) -> None:
    answer = pod.call("POST", CHAT)
    assert [message.get("body") for message in answer.messages] == [None, b"pass", b"ed"]


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("POST", "/tokenize", "it administers the engine"),
        ("DELETE", "/adapters/legal", "it administers the engine"),
        ("POST", "/v1/load_lora_adapter", "it administers the engine"),
        ("GET", "/nope", "it is not a route of the inference API"),
        ("PUT", "/v1/models", "it is not a route of the inference API"),
    ],
)
def test_a_closed_route_is_403_and_says_which_and_why(pod: Pod, method: str, path: str, words: str) -> None:
    answer = pod.call(method, path)
    error = answer.error
    assert (answer.status, error["type"], error["code"], error["param"]) == (403, "PermissionDeniedError", 403, None)
    assert error["message"] == (
        f"{method} {path} is closed to clients: {words}; spec.guard.extraRoutes of the SLMDeployment opens it"
    )
    assert answer.headers[b"content-length"] == str(len(answer.body)).encode()
    assert engine_of(pod).reached == []


def test_the_error_is_short_and_valid_json_whatever_the_path_is(pod: Pod) -> None:
    answer = pod.call("GET", '/"\\\n\x00\u2028' + "x" * 60_000)
    assert answer.status == 403
    assert len(answer.error["message"]) < 400


@pytest.mark.parametrize("path", ["/tokenize", "/v1/unload_lora_adapter", "/anything"])
def test_the_operators_token_opens_every_route_and_does_not_reach_the_engine(pod: Pod, path: str) -> None:
    assert pod.call("POST", path, headers=[*WITH_TOKEN, (b"a", b"b")]).status == 200
    (scope,) = engine_of(pod).reached
    assert scope["headers"] == [(b"a", b"b")]


@pytest.mark.parametrize("offered", [b"", b"wrong", TOKEN[:-1].encode(), TOKEN.encode() + b"0", "ü".encode()])
def test_another_token_opens_nothing(pod: Pod, offered: bytes) -> None:
    assert pod.call("POST", "/tokenize", headers=[(b"x-slmfleet-token", offered)]).status == 403
    assert pod.call("POST", CHAT, headers=[(b"x-slmfleet-token", offered)]).status == 200


@pytest.mark.parametrize("token", [None, "", " \n"])
def test_without_a_token_in_its_file_administration_stays_closed(
    tmp_path: Path, token: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    pod = Pod(tmp_path, token=token)
    for _ in range(3):
        for offered in (b"", b"\n", TOKEN.encode()):
            assert pod.call("POST", "/tokenize", headers=[(b"x-slmfleet-token", offered)]).status == 403
    assert pod.call("POST", CHAT, headers=WITH_TOKEN).status == 200
    told = capsys.readouterr().err
    assert told.count("administrative routes stay closed") == (1 if token is None else 0)


def test_a_changed_token_counts_after_a_second(pod: Pod) -> None:
    assert pod.call("POST", "/tokenize", headers=WITH_TOKEN).status == 200
    other = pod.folder / "other"
    other.write_text("f" * 64)
    other.replace(pod.folder / "token")  # as the kubelet does
    assert pod.call("POST", "/tokenize", headers=WITH_TOKEN).status == 200
    pod.clock.now += TOKEN_SECONDS
    assert pod.call("POST", "/tokenize", headers=WITH_TOKEN).status == 403
    assert pod.call("POST", "/tokenize", headers=[(b"x-slmfleet-token", b"f" * 64)]).status == 200


def test_routes_of_the_config_are_open(tmp_path: Path) -> None:
    pod = Pod(tmp_path, config={"maxBody": 100, "extraRoutes": ["POST /tokenize"]})
    assert pod.call("POST", "/tokenize").status == 200
    assert pod.call("POST", "/detokenize").status == 403


@pytest.mark.parametrize("config", [None, [], {"maxBody": 1}, {"maxBody": "x", "extraRoutes": []}, {"extraRoutes": 3}])
def test_a_broken_config_is_told_once_and_the_defaults_hold(
    tmp_path: Path, config: object, capsys: pytest.CaptureFixture[str]
) -> None:
    pod = Pod(tmp_path, config=config)
    assert pod.call("POST", CHAT, headers=[(b"content-length", str(MAX_BODY).encode())]).status == 200
    assert pod.call("POST", CHAT, headers=[(b"content-length", str(MAX_BODY + 1).encode())]).status == 413
    assert pod.call("POST", "/tokenize").status == 403
    assert capsys.readouterr().err.count("config.json is not used: ") == 1


def test_an_error_of_the_guard_opens_client_routes_and_closes_the_others(
    pod: Pod, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = [(b"content-length", b"many")]
    for _ in range(3):
        assert pod.call("POST", CHAT, headers=broken).status == 200
        assert pod.call("POST", "/tokenize", headers=[*broken, *WITH_TOKEN]).status == 403
    assert capsys.readouterr().err.count("slmfleet_guard: error: ") == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        ([(b"authorization", b"Bearer wrong")], 401),
        ([(b"authorization", b"Basic sk-1")], 401),
        ([(b"authorization", b"bearer sk-1")], 200),
        (WITH_TOKEN, 200),
    ],
)
def test_where_the_server_has_a_key_all_inference_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "sk-1")
    pod = Pod(tmp_path)
    assert pod.call("POST", "/score", headers=headers).status == status
    assert pod.call("OPTIONS", "/score").status == 200
    assert pod.call("POST", "/v1/score").status == 200  # vLLM's own check comes behind the guard
    assert pod.call("GET", "/health").status == 200


@pytest.mark.parametrize("headers", [[], CHUNKED])
def test_an_engines_error_is_the_servers_to_handle(tmp_path: Path, headers: list[tuple[bytes, bytes]]) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    pod = Pod(tmp_path, engine=failing)
    with pytest.raises(ZeroDivisionError):
        pod.call("POST", CHAT, headers=headers)
    assert not locked(pod)


@pytest.mark.parametrize("kind", ["lifespan", "something.new"])
def test_what_is_no_connection_is_left_alone(pod: Pod, kind: str) -> None:
    scope = {"type": kind, "asgi": {}}
    asyncio.run(exchange(pod.guard, scope, []))
    assert engine_of(pod).reached == [scope]


def websocket(pod: Pod, path: str, headers: list[tuple[bytes, bytes]]) -> list[Message]:
    sent: list[Message] = []
    handshake = [{"type": "websocket.connect"}]

    async def receive() -> Message:
        return handshake.pop()

    async def send(message: Message) -> None:
        assert not handshake, "the server has not been heard yet"
        sent.append(message)

    asyncio.run(pod.guard({"type": "websocket", "path": path, "headers": headers}, receive, send))
    return sent


def test_the_realtime_websocket_is_open(pod: Pod) -> None:
    assert websocket(pod, "/v1/realtime", []) == []
    assert engine_of(pod).paths == ["/v1/realtime"]


@pytest.mark.parametrize("path", ["/tokenize", CHAT, "/v1/realtime/x"])
def test_another_websocket_is_closed_before_it_is_accepted(pod: Pod, path: str) -> None:
    (message,) = websocket(pod, path, [])
    assert (message["type"], message["code"]) == ("websocket.close", 1008)
    assert message["reason"].startswith(f"WEBSOCKET {path} is closed to clients")
    assert engine_of(pod).reached == []
    assert websocket(pod, path, WITH_TOKEN) == []


def test_errors_are_json_as_vllm_writes_them(pod: Pod) -> None:
    answer = pod.call("POST", "/tokenize")
    assert answer.headers[b"content-type"] == b"application/json"
    assert set(json.loads(answer.body)["error"]) == {"message", "type", "param", "code"}
