"""The scraper against servers on loopback that answer byte by byte what the test says."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from slmfleet.metrics.scrape import ScrapeError, Scraper

LIMIT = 100_000


class Server:
    """Answers every request on 127.0.0.1 with the same bytes, or not before it is told to."""

    def __init__(self, answer: bytes | None, *, closes: bool = False, piece: int = 0) -> None:
        self.answer = answer
        self.piece = piece
        self.closes = closes
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.open, self.most_open = 0, 0
        self.three_wait, self.speaks = asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                self.open += 1
                self.most_open = max(self.open, self.most_open)
                if self.open == 3:
                    self.three_wait.set()
                if self.answer is None:
                    await self.speaks.wait()
                self.open -= 1
                sent = answer(b"x") if self.answer is None else self.answer
                for place in range(0, len(sent), self.piece or len(sent) or 1):
                    writer.write(sent[place : place + (self.piece or len(sent))])
                    await asyncio.sleep(0)
                await writer.drain()
                if self.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks)


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(*chunks: bytes) -> bytes:
    return CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


@asynccontextmanager
async def scraping(
    server: Server, seconds: float = 5.0, limit: int = 4
) -> AsyncIterator[Callable[[], asyncio.Future[bytes]]]:
    async with server.running(), Scraper(seconds=seconds, limit=limit, max_bytes=LIMIT) as scraper:
        yield lambda: asyncio.ensure_future(scraper.get("127.0.0.1", server.port))


async def refused(server: Server, seconds: float = 5.0) -> tuple[str, str]:
    async with scraping(server, seconds) as get:
        with pytest.raises(ScrapeError) as caught:
            await get()
    return caught.value.reason, str(caught.value)


async def test_pages_come_over_one_connection_that_is_kept() -> None:
    async with scraping(server := Server(answer(b"vllm:x 1\n"))) as get:
        assert [await get() for _ in range(3)] == [b"vllm:x 1\n"] * 3
    assert server.connections == 1
    request = server.requests[0].decode().lower()
    assert request.startswith("get /metrics http/1.1\r\n")
    assert "accept-encoding: gzip\r\n" in request


async def test_a_kept_connection_that_the_server_has_closed_is_opened_again() -> None:
    async with scraping(server := Server(answer(b"x"), closes=True)) as get:
        for _ in range(3):
            assert await get() == b"x"
            await asyncio.sleep(0)
    assert server.connections == 3


async def test_a_packed_page_is_unpacked() -> None:
    page = b"vllm:x 1\n" * 1000
    async with scraping(Server(answer(gzip.compress(page), "Content-Encoding: gzip"))) as get:
        assert await get() == page


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (answer(b"x" * 999, "Content-Type: text/plain; version=0.0.4"), True),
        (chunked(b"x" * 990, b"x" * 9), True),
        (chunked(b"x" * 999).replace(b"3e7\r\n", b"3E7;name=value\r\n"), True),
        (answer(b"x" * 999, "Connection: close"), False),
        (answer(b"x" * 999, "connection:CLOSE"), False),
        (answer(b"x" * 999).replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        (answer(b"x" * 999) + b"more", False),
    ],
    ids=["length", "chunks", "chunk extension", "closed", "closed in capitals", "HTTP/1.0", "more than its length"],
)
@pytest.mark.parametrize("piece", [0, 1, 7])
async def test_an_answer_is_read_however_it_is_told_and_cut_up(sent: bytes, kept: bool, piece: int) -> None:
    async with scraping(server := Server(sent, piece=piece)) as get:
        assert [await get() for _ in range(2)] == [b"x" * 999] * 2
    assert server.connections == (1 if kept else 2)


async def test_an_answer_may_end_with_its_connection() -> None:
    async with scraping(server := Server(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 999, closes=True)) as get:
        assert [await get() for _ in range(2)] == [b"x" * 999] * 2
    assert server.connections == 2


async def test_two_scrapes_of_one_engine_at_a_time_leave_one_connection() -> None:
    async with scraping(server := Server(answer(b"x"))) as get:
        assert list(await asyncio.gather(get(), get())) == [b"x", b"x"]
        assert [await get(), await get()] == [b"x", b"x"]
    assert server.connections == 2


async def test_a_connection_that_was_given_up_is_not_used_again() -> None:
    async with scraping(server := Server(None)) as get:
        task = get()
        while not server.requests:  # noqa: ASYNC110 - the server has nothing to wait for
            await asyncio.sleep(0)
        task.cancel()
        server.speaks.set()
        assert await get() == b"x"
    assert server.connections == 2


BOMB = gzip.compress(b"\0" * 50 * LIMIT)


@pytest.mark.parametrize(
    ("sent", "reason", "words"),
    [
        (answer(b"", status="503 Service Unavailable"), "status", "/metrics answers 503 Service Unavailable"),
        (answer(b"", "Location: http://10.0.0.1/", status="302 Found"), "status", "/metrics answers 302 Found"),
        (answer(b"x" * (LIMIT + 1)), "too_large", f"a page of {LIMIT + 1} bytes (limit {LIMIT})"),
        (chunked(b"x" * (LIMIT + 1)), "too_large", f"a page of more than {LIMIT} bytes"),
        (answer(BOMB, "Content-Encoding: gzip"), "too_large", f"a page of more than {LIMIT} bytes"),
        (answer(b"not gzip", "Content-Encoding: gzip"), "protocol", ""),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "protocol", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "protocol", "unknown length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "protocol", "unknown length"),
        (answer(gzip.compress(b"x" * 999)[:-3], "Content-Encoding: gzip"), "protocol", "a page whose end is missing"),
        (answer(b"x", "Content-Encoding: br"), "protocol", "a page packed with br"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", "protocol", "a head of more than"),
        (chunked(b"x").replace(b"1\r\nx", b"z\r\nx"), "protocol", "chunks of no size"),
        (CHUNKED + b"ffff\r\n" + b"0\r\n\r\n", "timeout", "no page within"),
    ],
    ids=[
        "status",
        "redirect",
        "large",
        "large chunks",
        "bomb",
        "no gzip",
        "no HTTP",
        "no length",
        "unknown coding",
        "torn gzip",
        "unknown packing",
        "long head",
        "no chunks",
        "no end",
    ],
)
async def test_what_is_no_page_has_a_reason(sent: bytes, reason: str, words: str) -> None:
    told, message = await refused(Server(sent), seconds=0.05 if reason == "timeout" else 5.0)
    assert told == reason
    assert words in message


async def test_an_answer_that_breaks_off_is_a_broken_connection() -> None:
    reason, _ = await refused(Server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", closes=True))
    assert reason in {"connection", "protocol"}


async def test_a_silent_engine_is_given_up() -> None:
    assert await refused(Server(None), seconds=0.05) == ("timeout", "no page within 0.05 s")


async def test_nobody_there_is_a_broken_connection() -> None:
    async with Server(b"").running() as server:
        port = server.port
    async with Scraper(seconds=5.0, limit=1, max_bytes=LIMIT) as scraper:
        with pytest.raises(ScrapeError) as caught:
            await scraper.get("127.0.0.1", port)
    assert caught.value.reason == "connection"


async def test_no_more_than_the_limit_run_at_a_time() -> None:
    async with scraping(server := Server(None), limit=3) as get:
        tasks = [get() for _ in range(8)]
        await server.three_wait.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        server.speaks.set()
        assert await asyncio.gather(*tasks) == [b"x"] * 8
    assert server.most_open == 3
