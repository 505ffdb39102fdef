"""What a server and an application say to each other (ASGI), and answers of the guard's own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class Refusal(NamedTuple):
    """Why the guard does not pass a request on."""

    status: int
    kind: str
    message: str


async def answer(send: Send, status: int, body: object, more: Headers = []) -> None:  # noqa: B006 - never changed
    """JSON."""
    text = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


async def refuse(send: Send, refusal: Refusal, *, unread: bool = False) -> None:
    """Answer as vLLM does; `unread`: a body without a known end is left behind, so the connection cannot go on."""
    error = {"message": refusal.message, "type": refusal.kind, "param": None, "code": refusal.status}
    await answer(send, refusal.status, {"error": error}, [(b"connection", b"close")] if unread else [])


async def read_body(receive: Receive, most: int) -> bytes | None:
    """A request's whole body; None where the client left or has more than `most` bytes."""
    pieces = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > most:
            return None
        more = message.get("more_body", False)
    return b"".join(pieces)


def with_header(headers: Headers, name: bytes, value: bytes | None) -> Headers:
    """The headers with this one in place of any of its name, or without it."""
    others = [pair for pair in headers if pair[0].lower() != name]
    return others if value is None else [*others, (name, value)]


def closing(send: Send, when: Callable[[Message], bool]) -> Send:
    """`send`, with `Connection: close` on an answer that begins with such a message: next its client goes elsewhere."""

    def sending(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start" and when(message):
            headers = with_header(list(message.get("headers", ())), b"connection", b"close")
            message = {**message, "headers": headers}
        return send(message)

    return sending
