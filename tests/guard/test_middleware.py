import asyncio
import fcntl
import json
import os
from pathlib import Path

import pytest

from slmfleet.guard.middleware import LOOK_SECONDS, MAX_BODY, TOKEN_SECONDS, Message, Receive, Scope, Send

from .asgi import TOKEN, Engine, Pod, exchange

CHAT = "/v1/chat/completions"
WITH_TOKEN = [(b"x-slmfleet-token", TOKEN.encode())]
CHUNKED = [(b"transfer-encoding", b"chunked")]


def engine_of(pod: Pod) -> Engine:
    assert isinstance(pod.engine, Engine)
    return pod.engine


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


# The size of a body


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


@pytest.mark.parametrize("headers", [[], CHUNKED])
def test_an_engines_error_is_the_servers_to_handle(tmp_path: Path, headers: list[tuple[bytes, bytes]]) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    pod = Pod(tmp_path, engine=failing)
    with pytest.raises(ZeroDivisionError):
        pod.call("POST", CHAT, headers=headers)
    assert not locked(pod)


# Draining


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (CHAT, [], 200),
        (CHAT, CHUNKED, 200),
        ("/health", [], 200),
        ("/tokenize", [], 403),
        ("/tokenize", WITH_TOKEN, 200),
    ],
)
def test_every_answer_of_a_draining_pod_closes_its_connection(
    pod: Pod, path: str, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    method = "GET" if path == "/health" else "POST"
    assert b"connection" not in pod.call(method, path, headers=headers).headers
    pod.drain()
    answer = pod.call(method, path, headers=headers)
    assert (answer.status, answer.headers[b"connection"]) == (status, b"close")


def test_a_request_from_before_the_drain_whose_answer_begins_in_it_closes_the_connection(pod: Pod) -> None:
    engine_of(pod).before = pod.drain
    assert pod.call("POST", CHAT).headers[b"connection"] == b"close"


def test_an_answer_that_has_begun_before_the_drain_goes_on_unchanged(pod: Pod) -> None:
    engine_of(pod).between = pod.drain
    answer = pod.call("POST", CHAT)
    assert (answer.headers, answer.body) == ({b"content-type": b"text/plain"}, b"passed")


def test_the_engines_own_connection_header_is_replaced(tmp_path: Path) -> None:
    async def keeping(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Connection", b"keep-alive")]})

    pod = Pod(tmp_path, engine=keeping)
    pod.drain()
    assert pod.call("POST", CHAT).messages[0]["headers"] == [(b"connection", b"close")]


def test_the_file_is_looked_at_ten_times_a_second_at_most(pod: Pod) -> None:
    pod.call("GET", "/health")
    (pod.state / "drain").touch()
    pod.clock.now += LOOK_SECONDS * 0.9
    assert b"connection" not in pod.call("GET", "/health").headers
    pod.clock.now += LOOK_SECONDS * 0.2
    assert pod.call("GET", "/health").headers[b"connection"] == b"close"


def test_a_drain_can_be_taken_back(pod: Pod) -> None:
    pod.drain()
    pod.call("GET", "/health")
    (pod.state / "drain").unlink()
    pod.clock.now += LOOK_SECONDS
    assert b"connection" not in pod.call("GET", "/health").headers


def test_a_restarted_container_does_not_drain(pod: Pod) -> None:
    pod.drain()
    again = Pod(pod.root)
    assert b"connection" not in again.call("GET", "/health").headers


def test_the_operator_drains_a_pod_and_takes_it_back(pod: Pod) -> None:
    def draining(method: str) -> object:
        answer = pod.call(method, "/slmfleet/drain", headers=WITH_TOKEN)
        assert answer.status == 200
        return json.loads(answer.body)["draining"]

    assert (draining("GET"), draining("POST"), draining("GET")) == (False, True, True)
    assert pod.call("POST", CHAT).headers[b"connection"] == b"close"
    assert draining("DELETE") is False
    assert b"connection" not in pod.call("POST", CHAT).headers
    assert engine_of(pod).paths == [CHAT, CHAT]


def test_taking_it_back_does_not_stop_the_drain_of_a_pod_that_ends(pod: Pod) -> None:
    pod.drain()
    pod.call("POST", "/slmfleet/drain", headers=WITH_TOKEN)
    assert json.loads(pod.call("DELETE", "/slmfleet/drain", headers=WITH_TOKEN).body) == {"draining": True}


def test_other_processes_of_the_server_drain_too(pod: Pod) -> None:
    other = Pod(pod.root)
    pod.call("POST", "/slmfleet/drain", headers=WITH_TOKEN)
    assert other.call("POST", CHAT).headers[b"connection"] == b"close"


@pytest.mark.parametrize("headers", [[], [(b"x-slmfleet-token", b"wrong")]])
@pytest.mark.parametrize("extra", [[], ["POST /slmfleet/*"]])
def test_only_the_operator_drains_whatever_the_config_opens(
    tmp_path: Path, headers: list[tuple[bytes, bytes]], extra: list[str]
) -> None:
    pod = Pod(tmp_path, config={"maxBody": 100, "extraRoutes": extra})
    pod.call("POST", "/slmfleet/drain", headers=headers)
    assert b"connection" not in pod.call("POST", CHAT).headers
    assert not (pod.state / "leave").exists()


def test_a_method_that_says_nothing_about_a_drain_is_405(pod: Pod) -> None:
    assert pod.call("PUT", "/slmfleet/drain", headers=WITH_TOKEN).status == 405


def test_a_drain_that_cannot_be_written_down_is_told(pod: Pod, capsys: pytest.CaptureFixture[str]) -> None:
    for file in pod.state.iterdir():
        file.unlink()
    pod.state.rmdir()
    assert pod.call("POST", "/slmfleet/drain", headers=WITH_TOKEN).status == 500
    assert "slmfleet_guard: the operator's drain is not carried out: " in capsys.readouterr().err


def test_a_restarted_container_has_forgotten_the_operators_drain(pod: Pod) -> None:
    pod.call("POST", "/slmfleet/drain", headers=WITH_TOKEN)
    assert b"connection" not in Pod(pod.root).call("POST", CHAT).headers


def test_without_its_folder_the_guard_says_so_and_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pod = Pod(tmp_path, config={"maxBody": 100, "extraRoutes": [], "state": "/nonexistent"})
    assert pod.call("POST", CHAT).status == 200
    assert "slmfleet_guard: a drain does not wait for running requests: " in capsys.readouterr().err


# What drain.py waits for


def locked(pod: Pod) -> bool:
    """Whether the guard holds its lock, as another process sees it."""
    with (pod.state / "busy").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_the_lock_is_held_while_a_request_runs(pod: Pod) -> None:
    seen: list[bool] = []
    engine_of(pod).before = engine_of(pod).between = lambda: seen.append(locked(pod))
    pod.call("POST", CHAT)
    assert (seen, locked(pod)) == ([True, True], False)


def test_the_lock_is_held_until_the_last_of_several_requests_ends(pod: Pod) -> None:
    async def both() -> None:
        gates = {"/v1/completions": asyncio.Event(), CHAT: asyncio.Event()}

        async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
            await gates[scope["path"]].wait()

        guard = Pod(pod.root, engine=waiting).guard
        scope = {"type": "http", "method": "POST", "headers": []}
        calls = {path: asyncio.create_task(exchange(guard, scope | {"path": path}, [])) for path in gates}
        await asyncio.sleep(0)
        for path, call in calls.items():
            assert locked(pod)
            gates[path].set()
            await call
        assert not locked(pod)

    asyncio.run(both())


def test_probes_and_scrapes_do_not_hold_it(pod: Pod) -> None:
    seen: list[bool] = []
    engine_of(pod).before = lambda: seen.append(locked(pod))
    for path in ("/health", "/metrics", "/v1/models"):
        pod.call("GET", path)
    assert seen == [False, False, False]


def test_a_lock_that_was_missed_is_taken_by_the_next_request(pod: Pod) -> None:
    seen: list[bool] = []
    looking = os.open(pod.state / "busy", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_EX)

    async def nested(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == CHAT:
            os.close(looking)
            await exchange(guard, scope | {"path": "/v1/completions"}, [])
        seen.append(locked(pod))

    guard = Pod(pod.root, engine=nested).guard
    asyncio.run(exchange(guard, {"type": "http", "method": "POST", "path": CHAT, "headers": []}, []))
    assert (seen, locked(pod)) == ([True, True], False)


# Other kinds of connections


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
