"""What the engine guard costs a request: `python -m bench.guard [--write]`.

The same requests go through the same ASGI app with and without the guard, in turns within one run and without a server:
what differs is the guard. CPU time is counted, since the machine may have other work. Two apps: a bare one, whose
difference is the guard's own time, and a Starlette route with a JSON answer, whose ratio sets that into proportion (a
request of vLLM's takes milliseconds on top). --write keeps the result in bench/results/guard.json.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bench.machine import described, tell
from slmfleet.guard import Guard

ROUNDS: Final = 40
REQUESTS: Final = 500
CHUNKS: Final = 200
RESULT: Final = Path(__file__).parent / "results" / "guard.json"
BODY: Final = json.dumps({"model": "support", "messages": [{"role": "user", "content": "hello " * 100}]}).encode()
HEADERS: Final = [
    (b"host", b"support.chat.svc"),
    (b"user-agent", b"OpenAI/Python 2.8.0"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"content-type", b"application/json"),
    (b"authorization", b"Bearer sk-0123456789abcdef"),
    (b"x-stainless-lang", b"python"),
    (b"x-stainless-os", b"Linux"),
    (b"x-stainless-retry-count", b"0"),
    (b"x-request-id", b"0123456789abcdef"),
    (b"connection", b"keep-alive"),
    (b"content-length", str(len(BODY)).encode()),
]


async def bare(_scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def stream(_scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def answer(request: Request) -> JSONResponse:
    return JSONResponse({"choices": [], "model": (await request.json())["model"]})


def starlette() -> Any:  # noqa: ANN401 - ASGI
    return Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])


async def requests(app: Any, number: int) -> float:  # noqa: ANN401 - ASGI
    """Seconds of CPU time per request."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(_message: Any) -> None:  # noqa: ANN401 - ASGI
        return

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": HEADERS}
    began = time.process_time()
    for _ in range(number):
        await app(dict(scope), receive, send)
    return (time.process_time() - began) / number


def compared(make: Callable[[], Any], number: int, folder: Path) -> dict[str, float]:
    """Medians over the rounds, in microseconds per request; the two take turns, so that both see the same machine."""
    without, guarded = make(), Guard(make(), folder=folder)
    rounds = [(asyncio.run(requests(without, number)), asyncio.run(requests(guarded, number))) for _ in range(ROUNDS)]
    return {
        "without_us": round(statistics.median(a for a, _ in rounds) * 1e6, 2),
        "with_us": round(statistics.median(b for _, b in rounds) * 1e6, 2),
        "guard_us": round(statistics.median(b - a for a, b in rounds) * 1e6, 2),
        "ratio": round(statistics.median(b / a for a, b in rounds), 3),
    }


def measured() -> Iterator[tuple[str, dict[str, float]]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = {"maxBody": 33554432, "extraRoutes": ["POST /tokenize"], "state": name}
        (folder / "config.json").write_text(json.dumps(config))
        yield "bare", compared(lambda: bare, REQUESTS, folder)
        yield "starlette", compared(starlette, REQUESTS, folder)
        streamed = compared(lambda: stream, REQUESTS // 10, folder)
        yield f"stream of {CHUNKS} chunks", streamed | {"guard_us_per_chunk": round(streamed["guard_us"] / CHUNKS, 3)}


def main() -> int:
    result = {
        "command": "python -m bench.guard --write",
        **described(),
        "rounds": ROUNDS,
        "requests_per_round": REQUESTS,
        "results": dict(measured()),
    }
    tell(result, RESULT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
