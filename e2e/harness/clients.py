"""Clients that keep their connections open, as real ones do, and count what happens to their requests."""

import http.client
import json
import random
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from .openai import Endpoint

CHAT = "/v1/chat/completions"
PATIENCE_SECONDS = 240.0
IDLE_SECONDS = 4.0
"""A connection that lay longer is not used again: vLLM closes it after 5 s, which may cross with a request. Only on a
busy machine does a client come so late."""


@dataclass
class Tally:
    """What all clients together have seen."""

    requests: int = 0
    streams: int = 0
    told: int = 0
    """Answers with `Connection: close`."""
    connections: int = 0
    failures: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *, requests: int = 0, streams: int = 0, told: int = 0, connections: int = 0) -> None:
        """Count."""
        with self._lock:
            self.requests += requests
            self.streams += streams
            self.told += told
            self.connections += connections

    def fail(self, text: str) -> None:
        """Keep what a client met instead of an answer."""
        with self._lock:
            self.failures.append(text)

    def __str__(self) -> str:
        return (
            f"{self.requests} requests, {self.streams} of them streams, {len(self.failures)} failed, "
            f"over {self.connections} connections, {self.told} answers asked for another one"
        )


class KeepAlive:
    """One connection, used until the server closes it; then another one.

    Before it is used again it is looked at: a server may close what is idle, and every HTTP library checks for that.
    """

    def __init__(self, endpoint: Endpoint, tally: Tally) -> None:
        self._endpoint = endpoint
        self._tally = tally
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0

    def chat(self, model: str, tokens: int, *, stream: bool) -> None:
        """One answer, read to its end. Raises OSError or HTTPException for anything else."""
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": tokens}
        connection = self._open()
        asked = json.dumps(body | {"stream": stream, "ignore_eos": True})
        connection.request("POST", CHAT, asked, self._endpoint.headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != http.client.OK:
            raise OSError(f"{answer.status}: {text[:300]}")
        if stream and not text.rstrip().endswith("data: [DONE]"):
            raise OSError(f"the stream broke off: {text[-300:]}")
        closing = answer.headers.get("Connection", "") == "close"
        self._tally.add(requests=1, streams=int(stream), told=int(closing))
        self._used = time.monotonic()

    def close(self) -> None:
        """Close the connection if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> http.client.HTTPConnection:
        if self._connection is not None:
            socket, idle = self._connection.sock, time.monotonic() - self._used
            if socket is None or idle > IDLE_SECONDS or _closed(socket.fileno()):
                self.close()
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                self._endpoint.host, self._endpoint.port, timeout=PATIENCE_SECONDS
            )
            self._tally.add(connections=1)
        return self._connection


def _closed(file: int) -> bool:
    """Whether an idle connection has something to read: only its end can come unasked."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def clients(
    endpoint: Endpoint,
    model: str,
    *,
    streaming: int,
    busy: int,
    idle: int,
    pause: float = 0.3,
    lengths: Sequence[int] = (10, 40, 200, 600),
) -> Iterator[Tally]:
    """So many clients of each kind for as long as the body runs; at the end everyone finishes what it has begun.

    Streaming ones read answers of very different `lengths` in tokens, busy ones ask again soon, idle ones wake now and
    then, before vLLM closes their connection (after 5 s). Streaming and busy ones rest for `pause` seconds on average.
    """
    tally, stop = Tally(), threading.Event()
    rng = random.Random(4)

    def stream(client: KeepAlive) -> None:
        client.chat(model, rng.choice(lengths), stream=True)
        stop.wait(rng.uniform(0.0, 2 * pause))

    def ask(client: KeepAlive) -> None:
        client.chat(model, 4, stream=False)
        stop.wait(rng.uniform(0.0, 2 * pause))

    def wake(client: KeepAlive) -> None:
        client.chat(model, 4, stream=False)
        stop.wait(rng.uniform(1.0, 3.5))

    kinds = [stream] * streaming + [ask] * busy + [wake] * idle
    threads = [
        threading.Thread(target=_live, args=(kind, KeepAlive(endpoint, tally), tally, stop), daemon=True)
        for kind in kinds
    ]
    for thread in threads:
        thread.start()
    try:
        yield tally
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)


def _live(act: Callable[[KeepAlive], None], client: KeepAlive, tally: Tally, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            act(client)
        except (OSError, http.client.HTTPException) as error:
            tally.fail(f"{time.strftime('%H:%M:%S')} {act.__name__}: {type(error).__name__}: {error}")
            client.close()
            stop.wait(1.0)
    client.close()
