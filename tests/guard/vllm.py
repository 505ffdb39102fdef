"""vLLM with adapters as the guard sees it: its routes, its words, and ways in which it fails."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from slmfleet.guard.asgi import Receive, Scope, Send

BASE = "tiny"


@dataclass
class Load:
    """What becomes of a load."""

    seconds: float = 1.0
    status: int = 200
    message: str = ""
    listed: bool = True
    """Whether the adapter is there afterwards, whatever was answered."""
    raises: bool = False


@dataclass
class VLLM:
    """The app behind the guard; `weights` of an answer are the path that the adapter was loaded from."""

    up: bool = True
    adapters: dict[str, str] = field(default_factory=dict)
    loads: dict[str, Load] = field(default_factory=dict)
    """By path; any other path loads in a second."""
    listing_fails: bool = False
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Loads, unloads and steps of the base model, in order."""
    running: Counter[str] = field(default_factory=Counter)
    """Requests of adapters, by name."""
    loading: int = 0
    most_loading: int = 0
    beside: list[str] = field(default_factory=list)
    """Names that ran while an adapter was loaded."""
    cut: list[str] = field(default_factory=list)
    """Names that were unloaded while requests ran."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = json.loads((await receive())["body"] or b"null")
        match scope["path"]:
            case "/health":
                await answer(send, 200 if self.up else 503, None)
            case "/v1/models":
                await answer(send, 500 if self.listing_fails else 200, self.listing())
            case "/v1/load_lora_adapter":
                await self.load(body, send)
            case "/v1/unload_lora_adapter":
                await self.unload(body["lora_name"], send)
            case "/v1/completions":
                await self.complete(body, send)
            case _:
                await answer(send, 404, error("Not Found"))

    def listing(self) -> dict[str, Any]:
        cards = [{"id": BASE, "root": "/model", "parent": None}]
        cards += [{"id": name, "root": path, "parent": BASE} for name, path in self.adapters.items()]
        return {"object": "list", "data": cards}

    async def load(self, body: dict[str, str], send: Send) -> None:
        name, path = body["lora_name"], body["lora_path"]
        self.calls.append(("load", name))
        if name in self.adapters:
            await answer(send, 400, error(f"The lora adapter '{name}' has already been loaded."))
            return
        load = self.loads.get(path, Load())
        self.loading += 1
        self.most_loading = max(self.most_loading, self.loading)
        self.beside += list(self.running)
        await asyncio.sleep(load.seconds)
        self.loading -= 1
        if load.listed and (load.status == 200 or load.raises):
            self.adapters[name] = path
        if load.raises:
            raise RuntimeError("engine core")
        text = f"Success: LoRA adapter '{name}' added successfully."
        await answer(send, load.status, text if load.status == 200 else error(load.message))

    async def unload(self, name: str, send: Send) -> None:
        self.calls.append(("unload", name))
        self.cut += [name] if name in self.running else []
        known = self.adapters.pop(name, None) is not None
        text = error(f"The lora adapter '{name}' cannot be found.")
        await answer(send, 200 if known else 404, "Success" if known else text)

    async def complete(self, body: dict[str, Any], send: Send) -> None:
        name = body["model"]
        if name != BASE and name not in self.adapters:
            await answer(send, 404, error(f"The model `{name}` does not exist."))
            return
        weights = self.adapters.get(name, "/model")
        if name == BASE:
            self.calls.append(("step", name))
        else:
            self.running[name] += 1
            self.beside += [name] * self.loading
        try:
            await asyncio.sleep(body.get("seconds", 0.0))
        finally:
            if name != BASE:
                self.running -= Counter([name])
        said = {"model": name, "choices": [{"text": f'"model":"{name}"'}], "weights": weights}
        if not body.get("stream"):
            await answer(send, 200, said)
            return
        head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
        await send(head)
        event = b"data: " + json.dumps(said, separators=(",", ":")).encode() + b"\n\n"
        for piece in (event[: body["cut"]], event[body["cut"] :] + b"data: [DONE]\n\n"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "x", "param": None, "code": 0}}


async def answer(send: Send, status: int, body: object) -> None:
    text = (
        b""
        if body is None
        else body.encode()
        if isinstance(body, str)
        else json.dumps(body, separators=(",", ":")).encode()
    )
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
