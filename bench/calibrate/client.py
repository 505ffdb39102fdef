"""Sends requests at their times and notes when each piece of the answers arrives.

Sockets without an HTTP library: on the core that the server also needs, a client must not cost what it measures.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bench.autoscale.fleet.requests import Requests

from .engine import HOST, NAME

SECONDS: Final = 300.0
"""Until a load is given up."""


class LoadError(Exception):
    """A request was not answered as it must be."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Seconds after the load's beginning."""

    sent: float
    times: tuple[float, ...]
    """When something arrived that brought tokens: one, or more where the server or this process was late."""

    @property
    def ttft(self) -> float:
        """Seconds to the first token."""
        return self.times[0] - self.sent


async def answers(port: int, requests: Requests, seed: int) -> list[Answer]:
    """Send the requests at their arrival and wait for all. Raises LoadError, or TimeoutError after SECONDS."""
    letters = np.random.default_rng(seed).integers(ord("a"), ord("z") + 1, int(requests.prompt.sum())).astype(np.uint8)
    texts = np.split(letters, np.cumsum(requests.prompt)[:-1])
    begin = time.perf_counter()
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_answer(port, begin, float(arrival), _request(text.tobytes().decode(), int(output))))
            for arrival, text, output in zip(requests.arrival, texts, requests.output, strict=True)
        ]
    return [task.result() for task in tasks]


def _request(prompt: str, output: int) -> bytes:
    """A letter is a token of the tiny model."""
    body: dict[str, Any] = {"model": NAME, "prompt": prompt, "max_tokens": output}
    content = json.dumps(body | {"temperature": 0, "ignore_eos": True, "stream": True}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(content) + content


async def _answer(port: int, begin: float, arrival: float, request: bytes) -> Answer:
    await asyncio.sleep(begin + arrival - time.perf_counter())
    loop = asyncio.get_running_loop()
    sent = time.perf_counter()
    _, stream = await loop.create_connection(lambda: _Stream(request), HOST, port)
    await stream.closed
    if not stream.start.startswith(b"HTTP/1.1 200 ") or not stream.complete or not stream.times:
        raise LoadError(f"the engine answered {stream.start[:500]!r} ... {stream.end[-200:]!r}")
    return Answer(sent - begin, tuple(at - begin for at in stream.times))


class _Stream(asyncio.Protocol):
    """One request on its own connection."""

    def __init__(self, request: bytes) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self.times: list[float] = []
        """When tokens arrived."""
        self.complete = False
        self.start = b""
        self.end = b""
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self.start = self.start or data
        events = (self.end[-1:] + data).count(b"\n\n")  # an event's end may come in two parts
        self.end = (self.end + data)[-200:]
        if not self.complete and b"data: [DONE]\n\n" in self.end:
            self.complete = True
            events -= 1
        if events > 0:
            self.times.append(now)

    def connection_lost(self, error: Exception | None) -> None:
        if error is None:
            self.closed.set_result(None)
        else:
            self.closed.set_exception(error)
