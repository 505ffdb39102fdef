"""One HTTP/1.1 connection to one engine, for one GET at a time.

A general client takes two to three times the CPU time for a page of 50 kB (bench/results/scrape.json), and at 1,000
pages a second that is most of what the operator does. What this one does not understand it refuses.
"""

import asyncio
import re
import zlib
from collections.abc import Mapping
from typing import Final, NamedTuple

MAX_HEAD: Final = 16 * 2**10
"""Bytes of status line and headers; vLLM's have 170."""

MAX_TRIES: Final = 64
"""How often what looks like the end of chunks may be none."""

_RECEIVED: Final = bytearray(2**18)
"""Where the event loop puts what it reads: shared by all connections, so that it stays in the processor's cache."""
_VIEW: Final = memoryview(_RECEIVED)
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: ([^\r\n]*))?\Z")
_LAST_CHUNK: Final = b"0\r\n\r\n"
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[^\r\n]*)?\r\n")


class ScrapeError(Exception):
    """No page: `reason` is a stable word (timeout, connection, status, too_large, protocol), the message for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Head(NamedTuple):
    """Of an answer."""

    status: str
    headers: Mapping[bytes, bytes]
    """Names in lower case."""
    length: int | None
    """Of the body; None where chunks or the end of the connection tell."""
    chunked: bool
    keeps: bool
    """Whether the connection stays."""


class Connection(asyncio.BufferedProtocol):
    """Made by the event loop's create_connection."""

    def __init__(self, max_bytes: int) -> None:
        """A body may have `max_bytes`, unpacked."""
        self.used = False
        """Whether it has served a request: then the other side may have closed it in the meantime."""
        self._max_bytes = max_bytes
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._head: _Head | None = None
        self._tries = 0

    @property
    def open(self) -> bool:
        """Whether it can be used for another request."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def silent(self) -> bool:
        """Whether nothing of an answer has come."""
        return self._head is None and not self._parts

    def close(self) -> None:
        """End it, whatever it does."""
        if self._transport is not None:
            self._transport.abort()

    async def get(self, request: bytes) -> bytes:
        """The body of the answer. Raises ScrapeError; then, or cancelled, it is closed."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._parts, self._size, self._head, self._tries = [], 0, None, 0
        self._transport.write(request)
        try:
            body = await self._answer
            assert self._head is not None
            if self._head.status != "200":
                raise ScrapeError("status", f"/metrics answers {self._head.status}")
            body = _unpacked(body, self._head.headers.get(b"content-encoding", b""), self._max_bytes)
        except BaseException:
            self.close()
            raise
        finally:
            self._answer = None
        self.used = True
        if not self._head.keeps:
            self.close()
        return body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop."""
        self._transport = None
        if error is None and self._head is not None and self._head.length is None and not self._head.chunked:
            self._end(b"".join(self._parts))
        else:
            self._fail("connection", str(error) if error else "the engine closed the connection before it had answered")

    def get_buffer(self, _hint: int) -> memoryview:
        """Called by the event loop."""
        return _VIEW

    def buffer_updated(self, number: int) -> None:
        """Called by the event loop."""
        if self._answer is None or self._answer.done():
            self.close()  # nobody asked
            return
        self._parts.append(bytes(_VIEW[:number]))
        self._size += number
        try:
            if self._head is None:
                self._read_head()
            if self._head is not None:
                self._read_body(self._head)
        except ScrapeError as error:
            self._fail(error.reason, str(error))

    def _read_head(self) -> None:
        text, blank, rest = b"".join(self._parts).partition(b"\r\n\r\n")
        if len(text) > MAX_HEAD:
            raise ScrapeError("protocol", f"an answer with a head of more than {MAX_HEAD} bytes")
        if blank:
            self._head = _head(text)
            self._parts, self._size = [rest] if rest else [], len(rest)

    def _read_body(self, head: _Head) -> None:
        if head.length is not None and head.length > self._max_bytes:
            raise ScrapeError("too_large", f"a page of {head.length} bytes (limit {self._max_bytes})")
        # Chunks bring a few bytes each along.
        if self._size > self._max_bytes * (2 if head.chunked else 1):
            raise ScrapeError("too_large", f"a page of more than {self._max_bytes} bytes")
        if head.chunked:
            if b"".join(part[-5:] for part in self._parts[-5:]).endswith(_LAST_CHUNK):
                self._tries += 1
                if self._tries > MAX_TRIES:
                    raise ScrapeError("protocol", "an answer in chunks without an end")
                body = _dechunked(b"".join(self._parts))
                if body is not None:
                    self._end(body)
        elif head.length is not None and self._size >= head.length:
            body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._end(body[: head.length])
            if self._size > head.length:
                self.close()  # who knows what that is

    def _end(self, body: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(body)

    def _fail(self, reason: str, message: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ScrapeError(reason, message))


def _head(text: bytes) -> _Head:
    """Raises ScrapeError."""
    first, *lines = text.split(b"\r\n")
    status = _STATUS.match(first)
    if status is None:
        raise ScrapeError("protocol", f"no HTTP/1.1 answer: {first[:60].decode(errors='replace')}")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    coding = headers.get(b"transfer-encoding", b"").lower()
    length = headers.get(b"content-length")
    if coding not in (b"", b"chunked") or (length is not None and not (length.isdigit() and len(length) < 16)):
        raise ScrapeError("protocol", "an answer of unknown length")
    chunked = bool(coding)
    keeps = status[1] == b"1" and headers.get(b"connection", b"").lower() != b"close"
    told = None if length is None or chunked else int(length)
    word = (
        f"{status[2].decode()} {(status[3] or b'').decode(errors='replace')}".rstrip() if status[2] != b"200" else "200"
    )
    return _Head(word[:80], headers, told, chunked, keeps and (chunked or told is not None))


def _dechunked(text: bytes) -> bytes | None:
    """The body in chunks; None while it is not complete. Raises ScrapeError."""
    chunks: list[bytes] = []
    place = 0
    while True:
        size = _SIZE.match(text, place)
        if size is None:
            if b"\r\n" in text[place : place + 64]:
                raise ScrapeError("protocol", "an answer in chunks of no size")
            return None
        length, start = int(size[1], 16), size.end()
        if length == 0:
            return b"".join(chunks)
        if len(text) < start + length + 2:
            return None
        chunks.append(text[start : start + length])
        place = start + length + 2


def _unpacked(body: bytes, coding: bytes, limit: int) -> bytes:
    """Raises ScrapeError."""
    if coding.lower() in (b"", b"identity"):
        if len(body) > limit:
            raise ScrapeError("too_large", f"a page of more than {limit} bytes")
        return body
    if coding.lower() != b"gzip":
        raise ScrapeError("protocol", f"a page packed with {coding[:40].decode(errors='replace')}")
    unpack = zlib.decompressobj(wbits=31)
    try:
        page = unpack.decompress(body, limit + 1)
    except zlib.error as error:
        raise ScrapeError("protocol", f"a page that cannot be unpacked: {error}") from None
    if len(page) > limit:
        raise ScrapeError("too_large", f"a page of more than {limit} bytes")
    if not unpack.eof:
        raise ScrapeError("protocol", "a page whose end is missing")
    return page
