"""vLLM's HTTP surface over one engine, plus /sim/* to break things.

Routes that administer adapters at run time belong into a module of their own and are added in application().
"""

import asyncio
import json
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from . import answers, openai, texts
from .config import EngineConfig
from .engine import Engine, EngineDeadError, EngineDrainingError
from .failures import ENGINE_DEAD
from .faults import FaultError
from .metrics import CONTENT_TYPE
from .openai import ApiError, Body, Generation, Served

GUARDED: Final = ("/v1", "/v2", "/inference", "/cohere")
"""What --api-key guards; all else is open, as in vLLM."""
BUSY: Final = (
    "The engine is currently busy and cannot accept new requests. Please try again later or on a different instance."
)
BACKLOG: Final = (
    "The engine has reached its prefill token backlog limit. Please try again later or on a different instance."
)
SHUTTING_DOWN: Final = "cannot schedule new futures after shutdown"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
    load: int = 0

    @property
    def served(self) -> Served:
        """What requests are checked against."""
        return Served(self.config.served_names, self.config.max_model_len, self.output_tokens)

    @property
    def fingerprint(self) -> str:
        """system_fingerprint of every answer."""
        return f"vllm-{self.version}-simulated"


def application(server: Server) -> web.Application:
    """The aiohttp application."""
    app = web.Application(middlewares=[_error_bodies, _authentication(server.keys)], client_max_size=64 * 2**20)
    routes = _Routes(server)
    for method, path, handler in (
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
    ):
        app.router.add_route(method, path, handler)
    return app


@web.middleware
async def _error_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """vLLM's JSON bodies for what the router and the handlers refuse."""
    try:
        return await handler(request)
    except ApiError as error:
        return _json(error.body, status=error.status)
    except web.HTTPMethodNotAllowed as error:
        headers = {"Allow": ", ".join(sorted(error.allowed_methods))}
        return _json({"detail": "Method Not Allowed"}, status=405, headers=headers)
    except web.HTTPNotFound:
        return _json({"detail": "Not Found"}, status=404)


def _authentication(keys: Sequence[str]) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not keys or not request.path.startswith(GUARDED) or request.method == "OPTIONS":
            return await handler(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        right = [secrets.compare_digest(token.encode(), key.encode()) for key in keys]
        if scheme.lower() != "bearer" or not any(right):
            return _json({"error": "Unauthorized"}, status=401)
        return await handler(request)

    return check


class _Routes:
    def __init__(self, server: Server) -> None:
        self._server = server

    async def health(self, _request: web.Request) -> web.Response:
        server = self._server
        if server.engine.faults.health == "hang":
            await _forever()
        dead = server.engine.dead or server.engine.faults.health == "unavailable"
        return web.Response(status=503 if dead else 200)

    async def version(self, _request: web.Request) -> web.Response:
        return _json({"version": self._server.version})

    async def load(self, _request: web.Request) -> web.Response:
        # Always 0 without --enable-server-load-tracking, as in vLLM.
        return _json({"server_load": self._server.load if self._server.config.track_load else 0})

    async def metrics(self, _request: web.Request) -> web.Response:
        fault = self._server.engine.faults.metrics
        if fault == "hang":
            await _forever()
        if fault == "error":
            return web.Response(status=500, text="Internal Server Error")
        metrics = self._server.engine.metrics
        page = b"" if fault == "missing" else metrics.render_nan() if fault == "nan" else metrics.render()
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})

    async def models(self, _request: web.Request) -> web.Response:
        config = self._server.config
        return _json(openai.models(config.served_names, config.model, config.max_model_len, int(time.time())))

    async def chat(self, request: web.Request) -> web.StreamResponse:
        return await self._generate(request, openai.chat_request(await _body(request), self._server.served))

    async def completion(self, request: web.Request) -> web.StreamResponse:
        return await self._generate(request, openai.completion_request(await _body(request), self._server.served))

    async def tokenize(self, request: web.Request) -> web.Response:
        body = await _body(request)
        messages = body.get("messages")
        text = texts.chat_prompt(messages) if isinstance(messages, list) else str(body.get("prompt", ""))
        tokens = texts.token_ids(text)
        longest = self._server.config.max_model_len
        return _json({"count": len(tokens), "max_model_len": longest, "tokens": tokens, "token_strs": None})

    async def faults(self, _request: web.Request) -> web.Response:
        return _json(asdict(self._server.engine.faults))

    async def set_faults(self, request: web.Request) -> web.Response:
        try:
            self._server.engine.set_faults(self._server.engine.faults.changed(await _body(request)))
        except FaultError as error:
            return _json({"error": str(error)}, status=400)
        self._server.on_fault()
        return await self.faults(request)

    async def _generate(self, request: web.Request, generation: Generation) -> web.StreamResponse:
        server = self._server
        self._check_admission()
        kind = "chatcmpl" if generation.chat else "cmpl"
        identity = request.headers.get("X-Request-Id") or uuid.uuid4().hex[:16]
        head = answers.Head(f"{kind}-{identity}", int(time.time()), server.config.served_names[0], server.fingerprint)
        server.load += 1
        try:
            with server.engine.generate(generation) as tokens:
                if generation.stream:
                    return await _stream(request, generation, head, tokens)
                async for _ in tokens:
                    pass
            return _json(answers.whole(generation, head, texts.answer(generation.prompt, generation.output_tokens)))
        except EngineDrainingError as error:
            raise _server_error(SHUTTING_DOWN) from error
        except EngineDeadError as error:
            raise _server_error(ENGINE_DEAD) from error
        finally:
            server.load -= 1

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


async def _stream(
    request: web.Request, generation: Generation, head: answers.Head, tokens: AsyncIterator[int]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    if generation.chat:
        await response.write(_event(answers.opening(head)))
    words = texts.words(generation.prompt)
    try:
        async for number in tokens:
            last = number == generation.output_tokens
            await response.write(_event(answers.piece(generation, head, next(words), last)))
        if generation.include_usage:
            await response.write(_event(answers.closing(generation, head)))
    except EngineDeadError:
        # The status line is out: vLLM reports what happens later as an event of the stream.
        await response.write(_event(_server_error(ENGINE_DEAD).body))
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _event(body: Body) -> bytes:
    return b"data: " + _compact(body) + b"\n\n"


def _server_error(message: str) -> ApiError:
    return ApiError(500, message, "InternalServerError")


async def _body(request: web.Request) -> Body:
    if request.content_type != "application/json":
        raise ApiError(
            400,
            "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed",
            "Bad Request",
        )
    try:
        body = json.loads(await request.read())
    except json.JSONDecodeError as error:
        raise openai.bad_json(error.pos, error.msg) from error
    if not isinstance(body, dict):
        raise ApiError(400, "1 validation error:\n  Input should be a valid dictionary", "Bad Request", "body")
    return body


def _json(body: Body, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer as vLLM's server writes it: compact, UTF-8, no charset in its type."""
    kind = {"Content-Type": "application/json"}
    return web.Response(body=_compact(body), status=status, headers=kind | dict(headers or {}))


def _compact(body: Body) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


async def _forever() -> None:
    await asyncio.Event().wait()
