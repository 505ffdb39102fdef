"""What stands in front of the routes, added in the order in which vLLM adds it: each in front of those before."""

import importlib
import inspect
import secrets
from collections.abc import Awaitable, Sequence
from typing import Any, Final, cast

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

GUARDED: Final = ("/v1", "/v2", "/inference", "/cohere")
"""What --api-key guards; all else is open, as in vLLM."""


def add(app: Starlette, keys: Sequence[str], names: Sequence[str]) -> None:
    """The check of `keys`, then what --middleware names: classes are ASGI middleware, coroutine functions HTTP's.

    Raises ValueError for anything else, and what the import of a name raises (vLLM 0.32: init_entrypoints_middleware).
    """
    if keys:
        app.add_middleware(Authentication, keys=keys)
    for name in names:
        module, _, attribute = name.rpartition(".")
        imported: Any = getattr(importlib.import_module(module), attribute)
        if inspect.isclass(imported):
            app.add_middleware(cast("Any", imported))
        elif inspect.iscoroutinefunction(imported):
            app.add_middleware(BaseHTTPMiddleware, dispatch=imported)
        else:
            raise ValueError(f"Invalid middleware {name}. Must be a function or a class.")


class Authentication:
    """401 without one of the keys as a Bearer token."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Let through, or refuse."""
        if scope["type"] != "http" or scope["method"] == "OPTIONS" or not scope["path"].startswith(GUARDED):
            return self._app(scope, receive, send)
        scheme, _, key = Headers(scope=scope).get("Authorization", "").partition(" ")
        right = [secrets.compare_digest(key.encode(), known) for known in self._keys]
        if scheme.lower() == "bearer" and any(right):
            return self._app(scope, receive, send)
        return JSONResponse({"error": "Unauthorized"}, 401)(scope, receive, send)
