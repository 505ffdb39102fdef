"""A pod's clients are moved elsewhere before it ends, and it ends when their requests have."""

import asyncio
import fcntl
import json
import os
from pathlib import Path

import pytest

from slmfleet.guard.asgi import Receive, Scope, Send
from slmfleet.guard.middleware import LOOK_SECONDS

from .asgi import CHAT, CHUNKED, WITH_TOKEN, Pod, engine_of, exchange, locked


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
