"""vLLM's own routes, called inside the process: nothing of this goes over the network."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from .adapter_state import Failure, Listing
from .asgi import App, Message, Scope

MAX_MESSAGE = 500
"""Characters of what the engine says."""

# What the engine says of an adapter that it does not load, first match wins: vllm/lora/peft_helper.py, lora_model.py,
# worker_manager.py, entrypoints/openai/models/serving.py, and torch's words for tensors that do not fit.
_REASONS = (
    ("NameTaken", r"already been loaded|conflicts with a served base model"),
    ("NotFound", r"No adapter found for|No such file or directory"),
    ("RankTooLarge", r"greater than max_lora_rank"),
    ("Unsupported", r"support|expected target modules|doesn't contain tensors|alid LoRA weight"),
    ("ShapeMismatch", r"size of tensor|size mismatch|shape|must match|must be consistent|dimension"),
)
# A step of the base model: the first route that the engine's kind of model has.
_STEPS = (
    ("/v1/completions", {"prompt": "a", "max_tokens": 1}),
    ("/v1/embeddings", {"input": "a"}),
    ("/classify", {"input": "a"}),
    ("/pooling", {"input": "a"}),
)


class EngineError(Exception):
    """The engine did not do what it was asked for."""


class EngineCalls:
    """The app behind the guard."""

    def __init__(self, app: App, api_key: bytes) -> None:
        self._app = app
        self._headers = [(b"content-type", b"application/json")]
        if api_key:
            self._headers.append((b"authorization", b"Bearer " + api_key))
        self._base: Scope = {}

    def meet(self, scope: Scope) -> None:
        """Remember what the server gives to every request: the application that routes find their handlers by."""
        self._base = {key: scope[key] for key in ("app", "state") if key in scope}

    async def healthy(self) -> bool:
        """Whether the engine is up."""
        status, _ = await self._call("GET", "/health")
        return status == 200

    async def listing(self) -> Listing:
        """Raises EngineError."""
        status, body = await self._call("GET", "/v1/models")
        if status != 200:
            raise EngineError(f"/v1/models answered {status}")
        try:
            cards = json.loads(body)["data"]
            adapters = {str(card["id"]): str(card["root"]) for card in cards if card.get("parent")}
            return Listing(frozenset(str(card["id"]) for card in cards) - frozenset(adapters), adapters)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise EngineError(f"/v1/models is not as expected: {error!r}") from error

    async def load(self, name: str, path: str) -> Failure | None:
        """None where the engine says that it has loaded it."""
        try:
            status, body = await self._call("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
        except EngineError as error:
            return Failure("NoAnswer", str(error))
        return None if status == 200 else failure(status, body)

    async def unload(self, name: str) -> None:
        """The engine forgets the name, if it knew it. Raises EngineError."""
        status, body = await self._call("POST", "/v1/unload_lora_adapter", {"lora_name": name})
        if status not in (200, 404):
            raise EngineError(f"unloading answered {status}: {_text(body)}")

    async def step(self, model: str) -> bool:
        """Let the engine run one step without adapters; whether it did."""
        for path, body in _STEPS:
            status, _ = await self._call("POST", path, {"model": model, **body})
            if status == 200:
                return True
        return False

    async def _call(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Status and body. Raises EngineError where the app raises."""
        text = b"" if body is None else json.dumps(body).encode()
        scope: Scope = {
            **self._base,
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [*self._headers, (b"content-length", str(len(text)).encode())],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 0),
        }
        request: list[Message] = [{"type": "http.request", "body": text, "more_body": False}]
        status, pieces = 0, []

        async def receive() -> Message:
            if not request:
                await asyncio.Event().wait()  # the guard never leaves
            return request.pop()

        async def send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            pieces.append(message.get("body", b""))

        try:
            await self._app(scope, receive, send)
        except Exception as error:  # whatever the engine raises is an answer: it has not done it
            raise EngineError(f"{path} raised {error!r}"[:MAX_MESSAGE]) from error
        return status, b"".join(pieces)


def failure(status: int, body: bytes) -> Failure:
    """What the engine's refusal of an adapter means."""
    text = _text(body)
    for reason, pattern in _REASONS:
        if re.search(pattern, text):
            return Failure(reason, text)
    return Failure("NotFound" if status == 404 else "EngineRefused", text or f"the engine answered {status}")


def _text(body: bytes) -> str:
    try:
        error: Any = json.loads(body)
        text = str(error["error"]["message"])
    except (ValueError, TypeError, KeyError):
        text = body.decode(errors="replace")
    return " ".join(text.split())[:MAX_MESSAGE]
