"""The engine guard: ASGI middleware inside vLLM, loaded by `--middleware slmfleet_guard.Guard`.

It opens the routes of the inference API to clients and every other one only to the operator, tells keep-alive clients
to go elsewhere while the pod drains, and bounds request bodies. It never buffers: messages pass as they come.

An error of its own never fails a client's request: it is told once on stderr, then client routes stay open and all
others closed.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from .adapter_layer import INSPECT_ROUTE, TABLE_ROUTE, AdapterLayer
from .asgi import App, Message, Receive, Refusal, Scope, Send, answer, closing, refuse
from .pod_files import Busy, Token
from .routes import DISCOVERY, OPEN, UNKEYED, Routes, path_of

TOKEN_HEADER = b"x-slmfleet-token"
MAX_BODY = 32 * 2**20
"""Bytes. Above the largest audio file that vLLM takes by default (VLLM_MAX_AUDIO_CLIP_FILESIZE_MB=25)."""
DRAIN_ROUTE = "/slmfleet/drain"
"""The guard's own, for the operator: POST takes the pod's clients elsewhere while it goes on working, DELETE ends that.
"""
LOOK_SECONDS = 0.1

_OWN_ROUTES = frozenset({DRAIN_ROUTE, TABLE_ROUTE, INSPECT_ROUTE})
# Probes and scrapes come while nothing runs, and are not waited for.
_PROBES = frozenset(DISCOVERY)


class Guard:
    """The middleware."""

    def __init__(
        self,
        app: App,
        *,
        folder: Path = Path(__file__).parent,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Made once per process, before the server listens.

        `folder` holds the operator's token and config.json: maxBody in bytes, extraRoutes, the folder `state`, where
        `drain` exists while the pod ends, `leave` while the operator empties it, and `busy` is locked while requests
        run, and, where the pod has adapters, what AdapterLayer is told.
        """
        self._app = app
        self._clock = clock
        self._told: set[str] = set()
        self._api_key = os.environ.get("VLLM_API_KEY", "").encode()
        self._max_body, self._routes, self._state = MAX_BODY, Routes(), folder
        self._adapters: AdapterLayer | None = None
        self._read_config(folder / "config.json")
        self._token = Token(folder / "token", clock)
        self._drain_files = (self._state / "drain", self._state / "leave")
        self._drains = False
        self._next_look = float("-inf")
        self._busy: AbstractContextManager[None] = nullcontext()
        try:
            # After a restart of the container they are there from the one before.
            for file in self._drain_files:
                file.unlink(missing_ok=True)
            self._busy = Busy(self._state / "busy")
        except OSError as error:
            self._complain(f"a drain does not wait for running requests: {error}")

    def _read_config(self, path: Path) -> None:
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            self._routes = Routes(config["extraRoutes"])
            self._max_body = int(config["maxBody"])
            self._state = Path(config["state"])
            if "adapters" in config:
                adapters = (config["adapters"], self._api_key, self._max_body, self._complain)
                self._app = self._adapters = AdapterLayer(self._app, *adapters)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            self._complain(f"{path} is not used: {error!r}")

    def _complain(self, text: str) -> None:
        """Tell the log, each thing once."""
        if text not in self._told and len(self._told) < 100:
            self._told.add(text)
            sys.stderr.write(f"slmfleet_guard: {text}\n")

    def _draining(self) -> bool:
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._drains = any(os.access(file, os.F_OK) for file in self._drain_files)  # raises nothing
        return self._drains

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's request, one websocket, or the server's start and stop."""
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        path = scope["path"]
        try:
            path = path_of(scope)
            refusal = self._refusal(kind, scope, path, headers)
        except Exception as error:  # noqa: BLE001 - a fault of the guard must not become one of the fleet's clients
            self._complain(f"error: {error!r}")
            refusal = None if path in OPEN else _closed(path)
        if TOKEN_HEADER in headers:  # not for the engine's eyes or logs
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != TOKEN_HEADER]}
            if path in _OWN_ROUTES and kind == "http" and self._operators(headers):
                await self._administer(path, scope, receive, self._closing(send))
                return
        if kind == "websocket":
            await self._websocket(scope, receive, send, refusal)
        elif refusal is not None:
            await refuse(self._closing(send), refusal, unread=b"transfer-encoding" in headers)
        elif b"transfer-encoding" in headers:
            await self._bounded(scope, receive, send)
        elif path in _PROBES:
            await self._app(scope, receive, self._closing(send))
        else:
            with self._busy:
                await self._app(scope, receive, self._closing(send))

    def _refusal(self, kind: str, scope: Scope, path: str, headers: dict[bytes, bytes]) -> Refusal | None:
        """Why not, or None."""
        method = scope["method"] if kind == "http" else "WEBSOCKET"
        if not self._routes.open(method, path) and not self._operators(headers):
            return _closed(f"{method} {path}", administrative=self._routes.administrative(path))
        if self._api_key and path in UNKEYED and method != "OPTIONS" and not self._keyed(headers):
            return Refusal(401, "AuthenticationError", f"{path} takes this server's API key as a Bearer token")
        if (length := int(headers.get(b"content-length", b"0"))) > self._max_body:
            return self._too_large(f"{length} bytes")
        return None

    async def _administer(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """What the operator asks of the guard itself."""
        if path == DRAIN_ROUTE:
            await self._drain(scope["method"], send)
        elif self._adapters is None:
            await answer(send, 404, {"error": "this pod is not made for adapters"})
        else:
            await self._adapters.administer(path, scope, receive, send)

    async def _drain(self, method: str, send: Send) -> None:
        """Begin or end the drain that the operator asks for, in every process of the server; GET only tells."""
        leave, status = self._drain_files[1], 200
        try:
            if method == "POST":
                leave.touch()
            elif method == "DELETE":
                leave.unlink(missing_ok=True)
            elif method != "GET":
                status = 405
        except OSError as error:
            self._complain(f"the operator's drain is not carried out: {error}")
            status = 500
        self._next_look = float("-inf")
        await answer(send, status, {"draining": self._draining()})

    def _operators(self, headers: dict[bytes, bytes]) -> bool:
        offered = headers.get(TOKEN_HEADER)
        try:
            return offered is not None and self._token.matches(offered)
        except OSError as error:
            self._complain(f"administrative routes stay closed: {error}")
            return False

    def _keyed(self, headers: dict[bytes, bytes]) -> bool:
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        keyed = scheme.lower() == b"bearer" and hmac.compare_digest(key, self._api_key)
        return keyed or self._operators(headers)

    def _too_large(self, size: str) -> Refusal:
        limit = f"more than the {self._max_body} that this fleet takes"
        advice = "send less, or raise spec.guard.maxBody of the SLMDeployment"
        return Refusal(413, "RequestTooLargeError", f"the request body has {size}, {limit}: {advice}")

    def _closing(self, send: Send) -> Send:
        return closing(send, lambda _: self._draining())

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, refusal: Refusal | None) -> None:
        if refusal is None:
            with self._busy:
                await self._app(scope, receive, send)
            return
        await receive()  # the handshake, which the server answers with 403
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.message[:120]})

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request whose body says its length chunk by chunk: beyond the limit it is answered and cut off."""
        closing = self._closing(send)
        size, started, over = 0, False, False

        async def receiving() -> Message:
            nonlocal size, over
            message = {"type": "http.disconnect"} if over else await receive()
            size += len(message.get("body", b""))
            if size <= self._max_body or over:
                return message
            over = True
            if not started:
                await refuse(closing, self._too_large(f"{size} bytes and more"), unread=True)
            return {"type": "http.disconnect"}

        async def sending(message: Message) -> None:
            nonlocal started
            if over and not started:
                return  # what the engine says to a broken-off request; its client has had the answer
            started = True
            await closing(message)

        try:
            with self._busy:
                await self._app(scope, receiving, sending)
        except Exception:
            if not over:
                raise


def _closed(what: str, *, administrative: bool = False) -> Refusal:
    why = "it administers the engine" if administrative else "it is not a route of the inference API"
    advice = "spec.guard.extraRoutes of the SLMDeployment opens it"
    return Refusal(403, "PermissionDeniedError", f"{what[:200]} is closed to clients: {why}; {advice}")
