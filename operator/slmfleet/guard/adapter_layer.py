"""What the guard does with requests in a pod that has adapters, and the routes by which the operator tells it which."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from . import adapter_files
from .adapter_names import ModelList, Renamed, model_of
from .adapter_table import MAX_TABLE, TableError, inside, read_table
from .adapter_tensors import InvalidAdapterError
from .adapters import Adapters
from .asgi import App, Message, Receive, Refusal, Scope, Send, answer, closing, read_body, refuse, with_header
from .engine_calls import EngineCalls
from .routes import path_of

TABLE_ROUTE = "/slmfleet/adapters"
INSPECT_ROUTE = "/slmfleet/adapters/inspect"

_FORMS = (b"multipart/", b"application/x-www-form-urlencoded")
_NOT_READY = Refusal(503, "Service Unavailable", "the engine is not up, or adapters are being loaded")


class AdapterLayer:
    """The app behind the guard's checks."""

    def __init__(
        self, app: App, config: dict[str, Any], api_key: bytes, max_body: int, complain: Callable[[str], None]
    ) -> None:
        """`config`: the file `table`, the folders `roots` that adapters may lie in, and `hold`. Raises KeyError."""
        roots = [str(root) for root in config["roots"]]
        engine = EngineCalls(app, api_key)
        self.agent = Adapters(engine, Path(config["table"]), roots, complain, hold=bool(config["hold"]))
        self._app, self._max_body = app, max_body
        self._inspecting: asyncio.Lock | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or anything else that the server says."""
        self.agent.start(scope)
        path = path_of(scope) if scope["type"] == "http" else ""
        if path == "/health" and not self.agent.ready:
            await refuse(send, _NOT_READY)
        elif path == "/v1/models" and scope["method"] == "GET":
            residents = self.agent.residents
            await self._app(scope, receive, ModelList(send, frozenset(residents.adapters), residents.aliases))
        elif path and scope["method"] == "POST" and self.agent.reads_names and not _is_form(scope):
            await self._inference(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _inference(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive, self._max_body)
        if body is None:
            return  # the client left, or has had its answer
        found = model_of(body)
        if found is None:
            await self._app(scope, _again(body, receive), send)
            return
        request, model = found
        if model in self.agent.residents.adapters:
            await refuse(send, Refusal(404, "NotFoundError", f"The model `{model}` does not exist."))
            return
        name = await self.agent.enter(model)
        if name is None and not self.agent.ready and model not in self.agent.residents.listing.base:
            # Clients may come before the Service knows that an engine has died here: 404 would be final to them.
            await refuse(send, _NOT_READY)
            return
        if name is None:  # the model itself, or nothing that this pod has: then another one may
            await self._app(scope, _again(body, receive), closing(send, lambda start: start["status"] == 404))
            return
        send = closing(send, lambda _: self.agent.residents.leaves(name))
        try:
            # FastAPI reads bodies with the same functions: to the engine the two say the same.
            body = json.dumps({**request, "model": name}, separators=(",", ":")).encode()
            headers = with_header(scope["headers"], b"transfer-encoding", None)
            headers = with_header(headers, b"content-length", str(len(body)).encode())
            await self._app({**scope, "headers": headers}, _again(body, receive), Renamed(send, name, model))
        finally:
            self.agent.leave(name)

    async def administer(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """A request of the operator's to one of the routes above."""
        self.agent.start(scope)
        method = scope["method"]
        if path == INSPECT_ROUTE and method == "GET":
            await self._inspect(scope, send)
        elif path == TABLE_ROUTE and method == "PUT":
            await self._put(receive, send)
        elif path == TABLE_ROUTE and method == "GET":
            await answer(send, 200, self.agent.state())
        else:
            await answer(send, 405, {"error": f"{method} {path} is not one of the guard's routes"})

    async def _put(self, receive: Receive, send: Send) -> None:
        body = await read_body(receive, MAX_TABLE)
        if body is None:
            await answer(send, 413, {"error": f"a table has at most {MAX_TABLE} bytes"}, [(b"connection", b"close")])
            return
        try:
            table, digest = await _in_thread(read_table, body, self.agent.roots)
        except TableError as error:
            await answer(send, 422, {"error": str(error)})
            return
        self.agent.take(table, digest)
        await answer(send, 202, self.agent.state())

    async def _inspect(self, scope: Scope, send: Send) -> None:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        path = query.get("path", [""])[0]
        self._inspecting = self._inspecting or asyncio.Lock()  # one at a time: the engine needs the machine
        async with self._inspecting:
            try:
                facts = await _in_thread(_facts, path, self.agent.roots, query.get("digest") == ["1"])
            except InvalidAdapterError as error:
                await answer(send, 422, {"error": str(error), "reason": error.reason})
                return
        await answer(send, 200, facts)


def _facts(path: str, roots: list[str], digest: bool) -> dict[str, Any]:
    for root in roots:
        if path.startswith("/") and "\0" not in path and inside(path, [root]):
            found = adapter_files.inspect(Path(path), Path(root))
            return {**found, "digest": adapter_files.digest(Path(path), Path(root))} if digest else found
    raise InvalidAdapterError("UnsafeFile", f"{path[:1024]!r} is outside of {', '.join(roots)}")


async def _in_thread(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - what it returns
    return await asyncio.get_running_loop().run_in_executor(None, functools.partial(function, *arguments))


def _is_form(scope: Scope) -> bool:
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return any(kind.lower().startswith(_FORMS) for kind in kinds)


def _again(body: bytes, receive: Receive) -> Receive:
    """`receive` for a request whose body has been read."""
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Message:
        return whole.pop() if whole else await receive()

    return receiving
