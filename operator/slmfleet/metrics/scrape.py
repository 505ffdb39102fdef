"""Getting /metrics pages from engines, many of them, often."""

import asyncio
from functools import lru_cache
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

PATH: Final = "/metrics"
CONNECT_SECONDS: Final = 1.0
"""Within a cluster a connection takes a millisecond; an address that is gone must not be waited for."""
IDLE_SECONDS: Final = 30.0
"""vLLM closes idle connections after 5 s (VLLM_HTTP_TIMEOUT_KEEP_ALIVE), which is seen; ours stay open longer, so that
a process that is behind does not fall further behind with new connections."""
_BUFFER: Final = 2**18
"""Bytes. A page arrives without a pause in reading."""

# gzip where a server offers it. vLLM does not (0.32 answers 51 kB as they are): a page would save 46 kB on the wire and
# take 90 us of CPU here, and 1 ms there.
_HEADERS: Final = {"Accept-Encoding": "gzip"}


class ScrapeError(Exception):
    """No page: `reason` is a stable word (timeout, connection, status, too_large, protocol), the message for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Scraper:
    """One client for all engines, which keeps its connections. Used as an async context manager."""

    def __init__(self, *, seconds: float, limit: int, max_bytes: int) -> None:
        """A scrape may take `seconds`; `limit` of them run at a time; a page may have `max_bytes`, unpacked."""
        self._seconds = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        self._slots = asyncio.Semaphore(limit)
        self._max_bytes = max_bytes
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            skip_auto_headers=("User-Agent", "Accept"),
            timeout=self._seconds,
            read_bufsize=_BUFFER,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def get(self, host: str, port: int) -> bytes:
        """The page of the engine at an IP address. Raises ScrapeError."""
        assert self._session is not None
        async with self._slots:
            try:
                # Never a redirect: whoever answers there must not choose whom the operator talks to.
                async with self._session.get(_url(host, port), allow_redirects=False) as response:
                    return await self._body(response)
            except TimeoutError as error:
                raise ScrapeError("timeout", f"no page within {self._seconds.total:g} s") from error
            except aiohttp.ClientConnectionError as error:
                raise ScrapeError("connection", str(error) or type(error).__name__) from error
            except (aiohttp.ClientError, ValueError) as error:
                raise ScrapeError("protocol", f"no HTTP answer that can be read: {error}"[:200]) from error
            except OSError as error:
                raise ScrapeError("connection", str(error)) from error

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        if response.status != 200:
            raise ScrapeError("status", f"{PATH} answers {response.status} {response.reason or ''}".rstrip())
        if (response.content_length or 0) > self._max_bytes:
            raise ScrapeError("too_large", f"a page of {response.content_length} bytes (limit {self._max_bytes})")
        if response.content_length is not None and "Content-Encoding" not in response.headers:
            return await response.read()
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > self._max_bytes:
                raise ScrapeError("too_large", f"a page of more than {self._max_bytes} bytes")
        return b"".join(chunks)


@lru_cache(maxsize=8192)
def _url(host: str, port: int) -> URL:
    return URL.build(scheme="http", host=host, port=port, path=PATH)
