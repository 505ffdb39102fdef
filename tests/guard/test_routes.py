"""The routes of all supported releases, as tools/routes.py read them, and every way to spell them."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

from slmfleet.guard.asgi import App
from slmfleet.guard.routes import ADMINISTRATIVE, OPEN, Routes, path_of

from .asgi import exchange

TABLE = json.loads((Path(__file__).parent / "routes.json").read_text())
PATHS = sorted({row["path"] for row in TABLE["routes"]})


def named(path: str) -> str:
    """vLLM's way to write a path, as the guard writes it."""
    return "/".join("*" if part.startswith("{") else part for part in path.split("/"))


def test_every_route_of_every_release_is_either_for_clients_or_administrative() -> None:
    known = set(OPEN) | ADMINISTRATIVE
    assert [path for path in PATHS if named(path) not in known] == []
    assert not set(OPEN) & ADMINISTRATIVE


def test_every_known_route_exists_in_some_release() -> None:
    exist = {named(path) for path in PATHS}
    assert (set(OPEN) | ADMINISTRATIVE) - exist == set()


@pytest.mark.parametrize("row", TABLE["routes"], ids=lambda row: f"{row['method']} {row['path']}")
def test_clients_may_call_exactly_the_open_ones(row: dict[str, str]) -> None:
    method, path = row["method"], named(row["path"])
    expected = path in OPEN and (method in OPEN[path].split() or (method, path) == ("ANY", "/metrics"))
    assert Routes().open("GET" if method == "ANY" else method, path.replace("*", "resp_1")) is expected


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("HEAD", "/v1/models", True),
        ("OPTIONS", "/v1/chat/completions", True),
        ("GET", "/v1/chat/completions", False),
        ("DELETE", "/v1/responses/resp_1", False),
        ("OPTIONS", "/tokenize", False),
        ("get", "/v1/models", False),
        ("WEBSOCKET", "/v1/realtime", True),
        ("GET", "/v1/realtime", False),
        ("WEBSOCKET", "/v1/chat/completions", False),
        ("GET", "/v1/responses/", False),
        ("GET", "/v1/responses/a/b", False),
        ("GET", "/", False),
        ("GET", "", False),
    ],
)
def test_methods_and_edges(method: str, path: str, expected: bool) -> None:
    assert Routes().open(method, path) is expected


def test_extra_routes_open_more_and_a_wildcard_never_an_administrative_one() -> None:
    routes = Routes(["POST /tokenize", "GET /plugin/*/state", "POST /v1/*"])
    assert routes.open("POST", "/tokenize")
    assert routes.open("GET", "/plugin/x/state")
    assert routes.open("POST", "/v1/something")
    assert not routes.open("POST", "/detokenize")
    assert not routes.open("POST", "/v1/load_lora_adapter")
    assert not routes.open("GET", "/v1/something")


# vLLM's router as it is: every path of every release at once. An answer is the path of the route that was reached.
def endpoint(path: str) -> Callable[[Request], Awaitable[Response]]:
    async def reached(_: Request) -> Response:
        return PlainTextResponse(path)

    return reached


async def realtime(_: WebSocket) -> None:
    raise AssertionError("HTTP requests do not come here")


METRICS = Mount("/metrics", PlainTextResponse("/metrics"))
METRICS.path_regex = re.compile("^/metrics(?P<path>.*)$")  # vLLM's own, against a redirect to /metrics/
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]
ROUTER = Router(
    [
        METRICS,
        WebSocketRoute("/v1/realtime", realtime),
        *(Route(path, endpoint(path), methods=METHODS) for path in PATHS if path not in ("/metrics", "/v1/realtime")),
    ]
)


def reached(method: str, path: str, root_path: str) -> str | None:
    """The route that a request reaches, None for a redirect, an error, or the guard's refusal."""
    scope = {"type": "http", "method": method, "path": path, "root_path": root_path, "query_string": b"", "headers": []}
    if not Routes().open(method, path_of(scope)):
        return None
    scope |= {"server": ("localhost", 80), "scheme": "http"}
    messages = asyncio.run(exchange(cast("App", ROUTER), scope, [b""]))
    body: bytes = messages[1].get("body", b"") if messages[0]["status"] == 200 else b""
    return body.decode() or None


def spelled(draw: Any) -> tuple[str, str]:
    path = draw(st.sampled_from(PATHS)).replace("{response_id}", "resp_1").replace("{adapter_name}", "a")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(path)))
        piece = draw(st.sampled_from(["/", "//", "/.", "/..", "%2f", "%2F", "%", ";", "?", "#", "\\", " ", "%00", "A"]))
        path = path[:at] + piece + path[at:]
    path = draw(st.sampled_from([path, path.upper(), path.title(), quote(path), path + "/", "/" + path, path[1:]]))
    root = draw(st.sampled_from(["", "/", "/api", "/v1", "/tokenize", "/v1/models", "/api/"]))
    return unquote(path) if draw(st.booleans()) else draw(st.sampled_from([root, ""])) + path, root


SPELLINGS = st.composite(spelled)()


@settings(max_examples=400)
@given(st.sampled_from(METHODS), SPELLINGS)
def test_no_spelling_of_a_path_reaches_a_closed_route(method: str, spelling: tuple[str, str]) -> None:
    path, root_path = spelling
    route = reached(method, path, root_path)
    assert route is None or named(route) in OPEN, f"{method} {path!r} below {root_path!r} reached {route}"


@given(st.sampled_from(METHODS), st.text(max_size=40))
def test_no_text_reaches_a_closed_route(method: str, text: str) -> None:
    route = reached(method, "/" + text, "")
    assert route is None or named(route) in OPEN


@pytest.mark.parametrize("path", [path for path in PATHS if named(path) in OPEN and path != "/v1/realtime"])
@pytest.mark.parametrize("root_path", ["", "/api"])
def test_open_routes_are_reached_with_and_without_a_root_path(path: str, root_path: str) -> None:
    asked = path.replace("{response_id}", "resp_1")
    method = OPEN[named(path)].split()[0]
    assert reached(method, asked, root_path) == path
    assert reached(method, root_path + asked, root_path) == path


def test_a_root_path_is_cut_off_before_a_slash_alone() -> None:
    assert reached("GET", "/v1/models", "/") == "/v1/models"
    assert reached("GET", "/v1/models", "/v1/mod") == "/v1/models"


def test_a_closing_slash_is_left_to_the_router_which_redirects() -> None:
    assert Routes().open("GET", path_of({"path": "/v1/models/"}))
    assert reached("GET", "/v1/models/", "") is None
    assert not Routes().open("GET", path_of({"path": "/v1/models//"}))
