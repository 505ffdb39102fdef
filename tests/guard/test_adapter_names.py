"""What clients read and write where the engine has other names, and the operator's routes."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slmfleet.guard.adapter_names import Renamed
from slmfleet.guard.asgi import Message, Scope

from .adapter_pod import JSON, AdapterPod, name, virtually
from .adapters import adapter
from .asgi import CHUNKED, WITH_TOKEN, Answer, exchange
from .vllm import BASE

V1 = ("legal", 1)
N1 = name(*V1)


async def loaded(pod: AdapterPod) -> None:
    await pod.put({V1: True})
    await asyncio.sleep(5)


async def renamed(pieces: Sequence[bytes], headers: list[tuple[bytes, bytes]], status: int = 200) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    renaming = Renamed(send, N1, "legal")
    await renaming({"type": "http.response.start", "status": status, "headers": headers})
    for number, piece in enumerate(pieces, 1):
        await renaming({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})
    return sent


def test_an_answer_carries_the_alias_and_its_length(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await loaded(pod)
        answer = await pod.complete("legal")
        said = json.loads(answer.body)
        assert (said["model"], said["choices"][0]["text"]) == ("legal", f'"model":"{N1}"')
        assert int(answer.headers[b"content-length"]) == len(answer.body)

    virtually(test)


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_a_stream_carries_the_alias_wherever_it_is_cut(tmp_path: Path, cut: int) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await loaded(pod)
        answer = await pod.complete("legal", stream=True, cut=cut)
        event, done, end = answer.body.split(b"\n\n")
        assert json.loads(event.removeprefix(b"data: "))["model"] == "legal"
        assert (done, end) == (b"data: [DONE]", b"")

    virtually(test)


PARTS = st.lists(
    st.sampled_from([f'"model":"{N1}"', f'"model": "{N1}"', '"model":"', N1[:9], '"', "x", "\n\n", N1]), max_size=8
)


@given(PARTS, st.lists(st.integers(0, 200), max_size=6))
def test_any_way_to_cut_an_answer_gives_the_same(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    assume(f'{N1}"model"' not in text)  # one quote for two strings: not what JSON has
    whole = text.encode()
    at = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[begin:end] for begin, end in itertools.pairwise(at)]
    expected = whole
    for gap in (b"", b" "):
        expected = expected.replace(b'"model":' + gap + b'"' + N1.encode() + b'"', b'"model":' + gap + b'"legal"')
    sent = asyncio.run(renamed(pieces, []))
    assert b"".join(message["body"] for message in sent[1:]) == expected


def test_a_stream_is_not_held_back() -> None:
    event = f'data: {{"model":"{N1}"}}\n\n'.encode()
    sent = asyncio.run(renamed([event, event, b""], []))
    assert [message["body"] for message in sent[1:]] == [b'data: {"model":"legal"}\n\n'] * 2 + [b""]


def test_an_error_speaks_of_the_alias() -> None:
    sent = asyncio.run(renamed([f"The model `{N1}` is busy".encode()], [(b"content-length", b"42")], 400))
    assert sent[1]["body"] == b"The model `legal` is busy"
    assert dict(sent[0]["headers"])[b"content-length"] == b"25"


def test_a_long_answer_in_pieces_loses_its_length() -> None:
    sent = asyncio.run(renamed([b"a", b"b"], [(b"content-length", b"2")]))
    assert dict(sent[0]["headers"]) == {}


def test_a_compressed_answer_passes_as_it_is() -> None:
    headers = [(b"content-encoding", b"gzip"), (b"content-length", b"5")]
    sent = asyncio.run(renamed([f'"model":"{N1}"'.encode()], headers))
    assert (sent[0]["headers"], sent[1]["body"]) == (headers, f'"model":"{N1}"'.encode())


def test_models_are_listed_by_their_aliases(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)
    pod.vllm.adapters["static"] = "/static"

    async def test() -> None:
        await loaded(pod)
        await pod.put({V1: True, ("legal", 2): False})
        await asyncio.sleep(5)
        answer = await pod.call("GET", "/v1/models")
        assert [card["id"] for card in json.loads(answer.body)["data"]] == [BASE, "static", "legal"]
        assert int(answer.headers[b"content-length"]) == len(answer.body)

    virtually(test)


def test_a_name_of_the_engines_is_unknown_to_clients(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await loaded(pod)
        answer = await pod.complete(N1)
        assert (answer.status, answer.error["type"]) == (404, "NotFoundError")
        escaped = f'{{"model": "legal\\u0040{1:012x}"}}'.encode()
        assert (await pod.call("POST", "/v1/completions", escaped, JSON)).status == 404

    virtually(test)


def test_an_adapter_of_the_command_line_answers_under_its_name(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)
    pod.vllm.adapters["static"] = "/static"

    async def test() -> None:
        await loaded(pod)
        assert await pod.weights("static") == "/static"

    virtually(test)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": 1}', b"\xff", b"[" * 5000])
def test_a_body_without_a_model_reaches_the_engine_as_it_is(tmp_path: Path, body: bytes) -> None:
    read: list[bytes] = []

    async def engine(scope: Scope, receive: Any, send: Any) -> None:
        if scope["path"] == "/v1/chat/completions":
            read.append((await receive())["body"])
        else:
            await pod.vllm(scope, receive, send)

    pod = AdapterPod(tmp_path)
    layer = pod.guard._adapters
    assert layer is not None
    layer._app = engine

    async def test() -> None:
        await loaded(pod)
        await pod.call("POST", "/v1/chat/completions", body, JSON)

    virtually(test)
    assert read == [body]


def test_a_form_is_not_read(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await loaded(pod)
        scope: Scope = {"type": "http", "method": "POST", "path": "/v1/completions", "query_string": b""}
        headers = [(b"content-type", b"multipart/form-data; boundary=x"), *CHUNKED]
        with pytest.raises(json.JSONDecodeError):  # only the first piece is read by the stand-in
            await exchange(pod.guard, scope | {"headers": headers}, [b'{"model": ', b'"legal"}'])

    virtually(test)


def test_a_chunked_body_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        await loaded(pod)
        scope: Scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": CHUNKED}
        assert Answer(await exchange(pod.guard, scope, [b"x" * 6000] * 2)).status == 413
        pieces = [b'{"model": "leg', b'al"}']
        assert json.loads(Answer(await exchange(pod.guard, scope, pieces)).body)["weights"] == pod.path(1)

    virtually(test)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/slmfleet/adapters"), ("GET", "/slmfleet/adapters"), ("GET", "/slmfleet/adapters/inspect")],
)
def test_the_operators_routes_take_the_token(tmp_path: Path, method: str, path: str) -> None:
    pod = AdapterPod(tmp_path)

    async def test() -> None:
        assert (await pod.call(method, path, {"adapters": {}})).status == 403
        assert (await pod.call("DELETE", path, None, WITH_TOKEN)).status == 405

    virtually(test)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "the table is no JSON"),
        ([], "the table is no object"),
        ({"adapters": []}, "the table is no object"),
        ({"adapters": {"legal": {"path": "IN/a"}}}, "'legal' is no name of an adapter"),
        ({"adapters": {N1: "IN/a"}}, "its entry is no object"),
        ({"adapters": {N1: {"path": "a"}}}, "path 'a' is not absolute"),
        ({"adapters": {N1: {"path": "/etc"}}}, "path /etc is outside of "),
        ({"adapters": {N1: {"path": "IN/../x"}}}, "is outside of "),
        ({"adapters": {N1: {"path": "IN/link"}}}, "is outside of "),
        ({"adapters": {N1: {"path": "IN/a", "alias": 'x"y'}}}, "is no name that clients can use"),
        ({"adapters": {N1: {"path": "IN/a", "alias": "x"}, name("x", 2): {"path": "IN/b", "alias": "x"}}}, "several adapters have the alias x"),
        ({"adapters": {name("x", number): {"path": "IN/a"} for number in range(1001)}}, "more than 1000 adapters"),
    ],
)  # fmt: skip
def test_a_wrong_table_changes_nothing(tmp_path: Path, body: object, why: str) -> None:
    pod = AdapterPod(tmp_path)
    (pod.adapters / "link").symlink_to("/etc")
    text = body if isinstance(body, bytes) else json.dumps(body).replace("IN/", f"{pod.adapters}/").encode()

    async def test() -> None:
        await loaded(pod)
        before = await pod.state()
        answer = await pod.call("PUT", "/slmfleet/adapters", text, [*WITH_TOKEN, *CHUNKED])
        assert (answer.status, why in json.loads(answer.body)["error"]) == (422, True)
        assert await pod.state() == before

    virtually(test)


def test_facts_are_read_within_the_roots(tmp_path: Path) -> None:
    pod = AdapterPod(tmp_path)
    folder = adapter(pod.adapters / "a")
    adapter(tmp_path / "outside")

    async def inspected(query: str) -> tuple[int, dict[str, Any]]:
        answer = await pod.call("GET", "/slmfleet/adapters/inspect", None, WITH_TOKEN, query)
        return answer.status, json.loads(answer.body)

    async def test() -> None:
        status, facts = await inspected(f"path={folder}&digest=1")
        assert (status, facts["targets"], facts["digest"][:7]) == (200, ["q_proj", "v_proj"], "sha256:")
        status, facts = await inspected(f"path={folder}")
        assert (status, "digest" in facts) == (200, False)
        for path in (str(tmp_path / "outside"), f"{folder}/../../outside", "a", "", "%00"):
            status, refused = await inspected(f"path={path}")
            assert (status, refused["reason"]) == (422, "UnsafeFile")
        status, refused = await inspected(f"path={pod.adapters}/none")
        assert (status, refused["reason"]) == (422, "NotFound")

    virtually(test)
