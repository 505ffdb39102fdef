"""Adapters' names between clients and the engine: in requests, answers, event streams and the list of models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .asgi import Message, Send, with_header


def model_of(body: bytes) -> tuple[dict[str, Any], str] | None:
    """A request's body and the model that it names; None where it names none."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return None  # the engine says what is wrong with it
    model = request.get("model") if isinstance(request, dict) else None
    return (request, model) if isinstance(model, str) else None


class Renamed:
    """`send` for one answer: the client reads the name that it asked for.

    The engine's name stands as the value of a key "model". In a text that the model made quotes are escaped, so these
    bytes can be nothing else. Messages pass as they come, but for the end of one that may be the beginning of the name.
    """

    def __init__(self, send: Send, name: str, alias: str) -> None:
        self._send = send
        self._pairs = [(f'"model":{gap}"{name}"'.encode(), f'"model":{gap}"{alias}"'.encode()) for gap in ("", " ")]
        self._error = (name.encode(), alias.encode())
        self._letters = frozenset(b"".join(old for old, _ in self._pairs))
        self._kept = b""
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            headers = dict(message.get("headers", ()))
            if b"content-encoding" in headers:
                self._pairs = []
            elif message["status"] >= 400:
                self._pairs.append(self._error)
            if b"content-length" not in headers or not self._pairs:
                await self._send(message)
            else:
                self._start = message  # its length is known with the body
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        more = message.get("more_body", False)
        body = self._replaced(message.get("body", b""), last=not more)
        if self._start is not None:
            length = None if more else str(len(body)).encode()
            changed = with_header(list(self._start["headers"]), b"content-length", length)
            await self._send({**self._start, "headers": changed})
            self._start = None
        await self._send({**message, "body": body})

    def _replaced(self, data: bytes, *, last: bool) -> bytes:
        data = self._kept + data
        for old, new in self._pairs:
            data = data.replace(old, new)
        keep = 0 if last else self._beginning(data)
        self._kept = data[len(data) - keep :]
        return data[: len(data) - keep]

    def _beginning(self, data: bytes) -> int:
        """How many of the last bytes are the beginning of a name, the most that can be."""
        if not data or data[-1] not in self._letters:  # an event ends with an empty line
            return 0
        longest = max((len(old) for old, _ in self._pairs), default=1) - 1
        for size in range(min(longest, len(data)), 0, -1):
            if any(old.startswith(data[-size:]) for old, _ in self._pairs):
                return size
        return 0


class ModelList:
    """`send` for the list of models: adapters under their aliases, and none without."""

    def __init__(self, send: Send, hidden: frozenset[str], aliases: Mapping[str, str]) -> None:
        self._send = send
        self._hidden = hidden
        self._alias_of = {name: alias for alias, name in aliases.items()}
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        """Keep the answer until it is whole."""
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                body = self._written(self._body)
                length = str(len(body)).encode()
                headers = with_header(list(self._start.get("headers", ())), b"content-length", length)
                await self._send({**self._start, "headers": headers})
                await self._send({"type": "http.response.body", "body": body})

    def _written(self, body: bytes) -> bytes:
        try:
            listing = json.loads(body)
            cards = [card for card in listing["data"] if card["id"] not in self._hidden or card["id"] in self._alias_of]
            shown = [{**card, "id": self._alias_of.get(card["id"], card["id"])} for card in cards]
            return json.dumps({**listing, "data": shown}, separators=(",", ":")).encode()
        except (ValueError, TypeError, KeyError):
            return body  # an error of the engine's
