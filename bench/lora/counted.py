"""What an engine is asked for, counted behind its guard: middleware for `--middleware`, before the guard's."""

from collections import Counter
from typing import Any, Final

from slmfleet.guard.asgi import App, Receive, Scope, Send, answer

ROUTE: Final = "/bench/calls"
"""GET: how often each path was asked for; the guard lets the operator's token through."""


class Counted:
    """The middleware."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._calls: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:  # noqa: ANN401 - what the app returns
        """Count, and pass it on."""
        if scope["type"] == "http" and scope["path"] == ROUTE:
            await answer(send, 200, dict(self._calls))
            return None
        if scope["type"] == "http":
            self._calls[scope["path"]] += 1
        return await self._app(scope, receive, send)
