"""A server's side of ASGI without a server: one call, its messages in and out."""

import asyncio
import fcntl
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slmfleet.guard import Guard
from slmfleet.guard.asgi import App, Message, Receive, Scope, Send

TOKEN = "0123456789abcdef" * 4
CHAT = "/v1/chat/completions"
WITH_TOKEN = [(b"x-slmfleet-token", TOKEN.encode())]
CHUNKED = [(b"transfer-encoding", b"chunked")]


@dataclass
class Clock:
    """Seconds that pass when the test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Answer:
    """What the client got."""

    messages: list[Message]

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


@dataclass
class Engine:
    """The app behind the guard: reads the body, answers with it in two pieces, and remembers what reached it."""

    reached: list[Scope] = field(default_factory=list)
    read: bytes = b""
    before: Callable[[], None] = lambda: None
    """Called when the request has arrived and the answer has not begun."""
    between: Callable[[], None] = lambda: None
    """Called between the answer's head and its body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(scope)
        if scope["type"] != "http":
            return
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the client left")
            self.read += message.get("body", b"")
            more = message.get("more_body", False)
        self.before()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        self.between()
        await send({"type": "http.response.body", "body": b"pass", "more_body": True})
        await send({"type": "http.response.body", "body": b"ed"})

    @property
    def paths(self) -> list[str]:
        return [scope["path"] for scope in self.reached]


@dataclass
class Pod:
    """A guard in front of an engine, with its folders."""

    root: Path
    engine: App = field(default_factory=Engine)
    clock: Clock = field(default_factory=Clock)
    config: object = field(default_factory=lambda: {"maxBody": 100, "extraRoutes": []})
    """An object gets the folder `state` unless it has one."""
    token: str | None = TOKEN

    def __post_init__(self) -> None:
        self.folder, self.state = self.root / "guard", self.root / "state"
        for folder in (self.folder, self.state):
            folder.mkdir(exist_ok=True)
        if isinstance(self.config, dict):
            self.config = {"state": str(self.state)} | self.config
        if self.config is not None:
            (self.folder / "config.json").write_text(json.dumps(self.config))
        if self.token is not None:
            (self.folder / "token").write_text(self.token + "\n")
        self.guard = Guard(self.engine, folder=self.folder, clock=self.clock)

    def drain(self) -> None:
        (self.state / "drain").touch()
        self.clock.now += 1.0

    def call(
        self,
        method: str,
        path: str,
        *,
        headers: Iterable[tuple[bytes, bytes]] = (),
        body: Iterable[bytes] = (b"",),
        root_path: str = "",
    ) -> Answer:
        scope: Scope = {"type": "http", "method": method, "path": path, "root_path": root_path}
        return Answer(asyncio.run(exchange(self.guard, scope | {"headers": list(headers)}, body)))


def engine_of(pod: Pod) -> Engine:
    """The engine behind its guard, where the test has given no other one."""
    assert isinstance(pod.engine, Engine)
    return pod.engine


def locked(pod: Pod) -> bool:
    """Whether the guard holds its lock, as another process sees it."""
    with (pod.state / "busy").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


async def exchange(app: App, scope: Scope, body: Iterable[bytes]) -> list[Message]:
    """Everything that an app sends for one request whose body comes in these pieces."""
    pieces = list(body)
    sent: list[Message] = []

    async def receive() -> Message:
        if not pieces:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent
