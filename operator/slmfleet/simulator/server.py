"""vLLM's HTTP surface over one engine, plus /sim/* to break things."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from . import answers, middleware, openai, texts
from .adapters import Adapters
from .config import EngineConfig
from .engine import Engine, EngineDeadError, EngineDrainingError
from .failures import ENGINE_DEAD
from .faults import FaultError
from .metrics import CONTENT_TYPE
from .openai import ApiError, Body, Generation, Served
from .requests import json_body, left

BUSY: Final = (
    "The engine is currently busy and cannot accept new requests. Please try again later or on a different instance."
)
BACKLOG: Final = (
    "The engine has reached its prefill token backlog limit. Please try again later or on a different instance."
)
SHUTTING_DOWN: Final = "cannot schedule new futures after shutdown"

Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class Server:
    """One server: its engine and what it serves."""

    config: EngineConfig
    engine: Engine
    version: str
    keys: Sequence[str]
    output_tokens: int
    on_fault: Callable[[], None]
    """Called after POST /sim/fault, for what the edge of the process has to do."""
    adapters: Adapters
    load: int = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """One request more for /load."""
        self.load += 1
        try:
            yield
        finally:
            self.load -= 1

    @property
    def served(self) -> Served:
        """What requests are checked against."""
        config = self.config
        cached_block = config.block_size if config.prefix_caching else 0
        adapters = self.adapters.paths
        return Served(config.served_names, config.max_model_len, self.output_tokens, cached_block, adapters)

    @property
    def fingerprint(self) -> str:
        """system_fingerprint of every answer."""
        return f"vllm-{self.version}-simulated"


def application(server: Server, middlewares: Sequence[str] = ()) -> Starlette:
    """The application; `middlewares` are those of --middleware, in the order of the command line."""
    routes = _Routes(server)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/health", routes.health),
        ("GET", "/ping", routes.health),
        ("POST", "/ping", routes.health),
        ("GET", "/version", routes.version),
        ("GET", "/load", routes.load),
        ("GET", "/metrics", routes.metrics),
        ("GET", "/v1/models", routes.models),
        ("POST", "/v1/chat/completions", routes.chat),
        ("POST", "/v1/completions", routes.completion),
        ("POST", "/tokenize", routes.tokenize),
        ("GET", "/sim/fault", routes.faults),
        ("POST", "/sim/fault", routes.set_faults),
    ]
    if server.config.runtime_adapters:
        table += [
            ("POST", "/v1/load_lora_adapter", routes.load_adapter),
            ("POST", "/v1/unload_lora_adapter", routes.unload_adapter),
        ]
    app = Starlette(routes=[_route(*row) for row in table])
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    middleware.add(app, server.keys, middlewares)
    return app


def _route(method: str, path: str, handler: Handler) -> Route:
    route = Route(path, handler)
    route.methods = {method}  # FastAPI, unlike Starlette, answers no HEAD where a GET is
    return route


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body, error.status)


async def _http_error(_request: Request, error: Exception) -> Response:
    """What the router refuses, as FastAPI words it."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


class _Routes:
    def __init__(self, server: Server) -> None:
        self._server = server

    async def health(self, request: Request) -> Response:
        server = self._server
        if server.engine.faults.health == "hang":
            await left(request)
        dead = server.engine.dead or server.engine.faults.health == "unavailable"
        return Response(status_code=503 if dead else 200)

    async def version(self, _request: Request) -> Response:
        return JSONResponse({"version": self._server.version})

    async def load(self, _request: Request) -> Response:
        # Always 0 without --enable-server-load-tracking, as in vLLM.
        return JSONResponse({"server_load": self._server.load if self._server.config.track_load else 0})

    async def metrics(self, request: Request) -> Response:
        fault = self._server.engine.faults.metrics
        if fault == "hang":
            await left(request)
        if fault == "error":
            return Response("Internal Server Error", 500)
        metrics = self._server.engine.metrics
        page = b"" if fault == "missing" else metrics.render_nan() if fault == "nan" else metrics.render()
        return Response(page, headers={"Content-Type": CONTENT_TYPE})

    async def models(self, _request: Request) -> Response:
        config = self._server.config
        adapters, now = self._server.adapters.paths, int(time.time())
        return JSONResponse(openai.models(config.served_names, config.model, config.max_model_len, adapters, now))

    async def load_adapter(self, request: Request) -> Response:
        return Response(await self._server.adapters.load(await json_body(request)))

    async def unload_adapter(self, request: Request) -> Response:
        return Response(self._server.adapters.unload(await json_body(request)))

    async def chat(self, request: Request) -> Response:
        return await self._generate(request, openai.chat_request(await json_body(request), self._server.served))

    async def completion(self, request: Request) -> Response:
        return await self._generate(request, openai.completion_request(await json_body(request), self._server.served))

    async def tokenize(self, request: Request) -> Response:
        body = await json_body(request)
        messages = body.get("messages")
        text = texts.chat_prompt(messages) if isinstance(messages, list) else str(body.get("prompt", ""))
        tokens = texts.token_ids(text)
        longest = self._server.config.max_model_len
        return JSONResponse({"count": len(tokens), "max_model_len": longest, "tokens": tokens, "token_strs": None})

    async def faults(self, _request: Request) -> Response:
        return JSONResponse(asdict(self._server.engine.faults))

    async def set_faults(self, request: Request) -> Response:
        try:
            self._server.engine.set_faults(self._server.engine.faults.changed(await json_body(request)))
        except FaultError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        self._server.on_fault()
        return await self.faults(request)

    async def _generate(self, request: Request, generation: Generation) -> Response:
        server = self._server
        self._check_admission()
        kind = "chatcmpl" if generation.chat else "cmpl"
        identity = request.headers.get("X-Request-Id") or uuid.uuid4().hex[:16]
        weights, name = await self._weights(generation.model)
        head = answers.Head(f"{kind}-{identity}", int(time.time()), name, server.fingerprint)
        with ExitStack() as stack:
            stack.enter_context(server.counted())
            try:
                tokens = stack.enter_context(server.engine.generate(generation))
                if generation.stream:
                    return _Stream(_events(generation, head, weights, tokens), stack.pop_all())
                await _unless_left(request, tokens)
            except EngineDrainingError as error:
                raise _server_error(SHUTTING_DOWN) from error
            except EngineDeadError as error:
                raise _server_error(ENGINE_DEAD) from error
        text = texts.answer(generation.prompt, generation.output_tokens, weights)
        return JSONResponse(answers.whole(generation, head, text))

    async def _weights(self, model: str) -> tuple[str, str]:
        """What answers begin with, and the model that they name."""
        server = self._server
        if model in server.config.served_names:
            return "", server.config.served_names[0]
        weights = await server.adapters.weights(model)
        if weights is None:
            raise _server_error(ENGINE_DEAD)
        return weights, model

    def _check_admission(self) -> None:
        engine, config = self._server.engine, self._server.config
        if (status := engine.faults.error_status) is not None:
            raise ApiError(status, "a fault answers every request", "InternalServerError")
        most, tokens = config.max_queued_requests, config.max_queued_tokens
        if most is not None and engine.unfinished + 1 > most:
            engine.metrics.count("admission_rejections", 1, reason="max_num_queued_reqs")
            raise ApiError(503, BUSY, "Service Unavailable")
        if tokens is not None and engine.prefill_backlog >= tokens:
            engine.metrics.count("admission_rejections", 1, reason="max_num_queued_tokens")
            raise ApiError(503, BACKLOG, "Service Unavailable")


class _Stream(StreamingResponse):
    """Server-sent events; whatever becomes of the client, the request leaves the engine with the response."""

    def __init__(self, events: AsyncIterator[bytes], request: ExitStack) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._request:
            await super().__call__(scope, receive, send)


async def _events(
    generation: Generation, head: answers.Head, weights: str, tokens: AsyncIterator[int]
) -> AsyncIterator[bytes]:
    if generation.chat:
        yield _event(answers.opening(head))
    words = texts.words(generation.prompt, weights)
    try:
        async for number in tokens:
            last = number == generation.output_tokens
            yield _event(answers.piece(generation, head, next(words), last))
        if generation.include_usage:
            yield _event(answers.closing(generation, head))
    except EngineDeadError:
        # The status line is out: vLLM reports what happens later as an event of the stream.
        yield _event(_server_error(ENGINE_DEAD).body)
    yield b"data: [DONE]\n\n"


async def _unless_left(request: Request, tokens: AsyncIterator[int]) -> None:
    """Wait for all tokens; a client that leaves ends the wait, as vLLM's with_cancellation does."""

    async def all_tokens() -> None:
        async for _ in tokens:
            pass

    work, gone = asyncio.create_task(all_tokens()), asyncio.create_task(left(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.wait((work, gone))


def _event(body: Body) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _server_error(message: str) -> ApiError:
    return ApiError(500, message, "InternalServerError")
