"""The client against an HTTP server of this process: what it sends, and what it makes of the answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from slmfleet.kube.apply import Applier
from slmfleet.kube.client import Client
from slmfleet.kube.errors import (
    AlreadyExistsError,
    ConflictError,
    ExpiredError,
    KubeError,
    NamespaceGoneError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from slmfleet.kube.resources import DEPLOYMENTS, PODS, SERVICES, Manifest
from slmfleet.kube.status import StatusWriter

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Answer], Awaitable[Client]]

POD = {"metadata": {"name": "a", "resourceVersion": "5"}}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server with one answer to everything, and returns a client of it."""
    started: list[tuple[TestServer, Client]] = []

    async def start(answer: Answer) -> Client:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        server = TestServer(app)
        await server.start_server()
        configuration = Configuration(host=str(server.make_url("")).rstrip("/"))
        configuration.retries = None
        client = Client(ApiClient(configuration))
        started.append((server, client))
        return client

    yield start
    for server, client in started:
        await client.close()
        await server.close()


def answers(body: Manifest, status: int = 200, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers=headers)

    return answer


async def caught(client: Client) -> KubeError:
    with pytest.raises(KubeError) as error:
        await client.get(PODS, "chat", "a")
    return error.value


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (400, "bad request", RefusedError),
        (401, "Unauthorized", TransientError),  # a token that is being rotated
        (403, "exceeded quota", RefusedError),
        (404, "not found", NotFoundError),
        (409, "conflict", ConflictError),
        (410, "too old", ExpiredError),
        (413, "too large", RefusedError),
        (422, "is invalid", RefusedError),
        (429, "too many requests", TransientError),
        (500, "etcdserver: leader changed", TransientError),
        (500, 'failed calling webhook "policy.example.com"', RefusedError),
        (500, "failed to create typed patch object: .spec.affinity: field not declared in schema", RefusedError),
        (503, "unavailable", TransientError),
        (504, "timeout", TransientError),
    ],
)
async def test_every_answer_has_its_error_with_the_servers_words(
    serve: Serve, code: int, message: str, expected: type[KubeError]
) -> None:
    error = await caught(await serve(answers({"kind": "Status", "code": code, "message": message}, code)))
    assert type(error) is expected
    assert str(error) == message


async def test_a_name_that_is_taken_is_another_conflict_than_a_quota_that_moved(serve: Serve) -> None:
    for reason, expected in (("AlreadyExists", AlreadyExistsError), ("Conflict", ConflictError)):
        taken = {"kind": "Status", "code": 409, "reason": reason, "message": 'secrets "token" already exists'}
        assert type(await caught(await serve(answers(taken, 409)))) is expected


async def test_a_namespace_that_is_being_deleted_counts_as_gone(serve: Serve) -> None:
    causes = [{"reason": "NamespaceTerminating", "message": "namespace chat is being terminated"}]
    refused = {"kind": "Status", "code": 403, "message": "forbidden", "details": {"causes": causes}}
    assert type(await caught(await serve(answers(refused, 403)))) is NamespaceGoneError
    absent = {"kind": "Status", "code": 404, "details": {"name": "chat", "kind": "namespaces"}}
    assert type(await caught(await serve(answers(absent, 404)))) is NamespaceGoneError


@pytest.mark.parametrize("details", [None, "overloaded", ["a"], {"causes": "many"}, {"causes": ["one", None]}])
@pytest.mark.parametrize(("code", "expected"), [(503, TransientError), (403, RefusedError), (404, NotFoundError)])
async def test_details_that_are_not_as_they_should_be_are_no_details(
    serve: Serve, code: int, expected: type[KubeError], details: object
) -> None:
    error = await caught(await serve(answers({"message": "no", "details": details}, code)))
    assert (type(error), str(error)) == (expected, "no")


async def test_the_wish_to_wait_is_read_from_the_header_or_the_status(serve: Serve) -> None:
    status = {"message": "busy", "details": {"retryAfterSeconds": 3}}
    header = await caught(await serve(answers(status, 429, **{"Retry-After": "7"})))
    body = await caught(await serve(answers(status, 429)))
    assert isinstance(header, TransientError)
    assert isinstance(body, TransientError)
    assert (header.retry_after, body.retry_after) == (7, 3)


async def test_a_proxys_text_is_an_error_message_too(serve: Serve) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>bad gateway</html>")

    assert str(await caught(await serve(answer))) == "<html>bad gateway</html>"


async def test_no_connection_is_transient() -> None:
    configuration = Configuration(host="http://127.0.0.1:9")
    client = Client(ApiClient(configuration))
    with pytest.raises(TransientError, match="no answer from the API server"):
        await client.get(PODS, "chat", "a")
    await client.close()


async def test_an_answer_that_takes_too_long_is_transient(serve: Serve) -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return web.json_response({})

    client = await serve(answer)
    with pytest.raises(TransientError, match="no answer from the API server: TimeoutError"):
        await client.get(PODS, "chat", "a", within=0.01)


async def test_an_apply_is_a_server_side_apply_with_the_manifest_as_written(serve: Serve) -> None:
    seen: list[tuple[str, str, str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, str(request.rel_url), request.content_type, await request.text()))
        return web.json_response(POD)

    client = await serve(answer)
    manifest = {"metadata": {"name": "a"}, "spec": {"empty": {}, "none": None, "zero": 0}}
    await client.apply(DEPLOYMENTS, "chat", manifest, manager="slmfleet", force=True)
    await client.apply(SERVICES, "chat", manifest, manager="m", force=False, subresource="status")
    assert [call[:3] for call in seen] == [
        (
            "PATCH",
            "/apis/apps/v1/namespaces/chat/deployments/a?fieldManager=slmfleet&force=true",
            "application/apply-patch+yaml",
        ),
        (
            "PATCH",
            "/api/v1/namespaces/chat/services/a/status?fieldManager=m&force=false",
            "application/apply-patch+yaml",
        ),
    ]
    assert json.loads(seen[0][3]) == manifest


async def test_a_delete_names_the_uid(serve: Serve) -> None:
    seen: list[Manifest] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.json_response({"kind": "Status"})

    await (await serve(answer)).delete(PODS, "chat", "a", "uid-1")
    assert seen == [{"preconditions": {"uid": "uid-1"}, "propagationPolicy": "Background"}]


async def test_a_list_is_read_page_by_page_and_its_items_get_their_kind(serve: Serve) -> None:
    queries: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        queries.append(dict(request.query))
        last = "continue" in request.query
        metadata = {"resourceVersion": "9", "continue": "" if last else "token"}
        return web.json_response({"metadata": metadata, "items": [{"metadata": {"name": "b" if last else "a"}}]})

    items, version = await (await serve(answer)).list(PODS, None, labels="a=b", page=1)
    assert version == "9"
    assert items == [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}} for name in "ab"]
    assert queries == [
        {"limit": "1", "labelSelector": "a=b"},
        {"limit": "1", "labelSelector": "a=b", "continue": "token"},
    ]


def stream(*events: Manifest) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in events:
            await response.write(json.dumps(event).encode() + b"\n")
        return response

    return answer


async def watched(client: Client) -> list[tuple[str, Manifest]]:
    return [event async for event in client.watch(PODS, "chat", labels="a=b", since="4", seconds=5)]


async def test_a_watch_yields_events_and_bookmarks_until_the_server_ends_it(serve: Serve) -> None:
    events = [{"type": "ADDED", "object": POD}, {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "8"}}}]
    assert await watched(await serve(stream(*events))) == [(str(e["type"]), e["object"]) for e in events]


async def test_a_large_object_fits_through_the_watch(serve: Serve) -> None:
    large = {"metadata": {"name": "a"}, "data": "x" * 1_500_000}
    assert await watched(await serve(stream({"type": "ADDED", "object": large}))) == [("ADDED", large)]


async def test_a_watch_that_is_too_old_says_so_at_its_start_or_later(serve: Serve) -> None:
    status = {"kind": "Status", "code": 410, "message": "too old resource version"}
    with pytest.raises(ExpiredError):
        await watched(await serve(answers(status, 410)))
    with pytest.raises(ExpiredError):
        await watched(await serve(stream({"type": "ERROR", "object": status})))


async def test_a_watch_whose_connection_breaks_is_transient(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type": "ADD')
        assert request.transport is not None
        request.transport.abort()
        return response

    with pytest.raises(TransientError, match="watch of pods broke"):
        await watched(await serve(answer))


async def test_the_end_of_a_log_is_kept(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert str(request.rel_url) == "/api/v1/namespaces/chat/pods/a/log?previous=true"
        return web.Response(body=b"x" * 200_000 + b"the cause")

    tail = await (await serve(answer)).pod_log("chat", "a", [("previous", "true")], limit=1000)
    assert len(tail) == 1000
    assert tail.endswith(b"the cause")


async def test_every_write_is_counted_with_its_result(serve: Serve) -> None:
    counted: list[tuple[str, str, str]] = []
    client = await serve(answers({"message": "no"}, 403))
    client._on_write = lambda *what: counted.append(what)
    with pytest.raises(RefusedError):
        await client.delete(PODS, "chat", "a", "uid-1")
    assert counted == [("Pod", "delete", "refused")]


async def test_a_stalled_write_is_given_up_when_the_lease_runs_out(serve: Serve) -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(0.3)
        return web.json_response(POD)

    client = await serve(answer)
    manifest: Manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}
    applier, status = Applier(client, lambda: 0.01), StatusWriter(client, lambda: 0.01)
    with pytest.raises(TransientError, match="no answer"):
        await applier.apply(("chat", "a"), manifest, None)
    with pytest.raises(TransientError, match="no answer"):
        await applier.delete(("chat", "a"), SERVICES, "a", "uid-1")
    with pytest.raises(TransientError, match="no answer"):
        await status.write(SERVICES, manifest, {"ready": True})
