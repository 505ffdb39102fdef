"""Getting /metrics pages from engines, many of them, often."""

import asyncio
from types import TracebackType
from typing import Final, Self

from .connection import Connection, ScrapeError

__all__ = ["ScrapeError", "Scraper"]

PATH: Final = "/metrics"
CONNECT_SECONDS: Final = 1.0
"""Within a cluster a connection takes a millisecond; an address that is gone must not be waited for."""
IDLE_SECONDS: Final = 30.0
"""vLLM closes idle connections after 5 s (VLLM_HTTP_TIMEOUT_KEEP_ALIVE), which is seen; ours stay open longer, so that
a process that is behind does not fall further behind with new connections."""

# gzip where a server offers it. vLLM does not (0.32 answers 51 kB as they are): a page would save 46 kB on the wire and
# take 90 us of CPU here, and 1 ms there.
_REQUEST: Final = f"GET {PATH} HTTP/1.1\r\nHost: %s\r\nUser-Agent: slmfleet\r\nAccept-Encoding: gzip\r\n\r\n"

_Address = tuple[str, int]


class Scraper:
    """One client for all engines, which keeps a connection to each. Used as an async context manager."""

    def __init__(self, *, seconds: float, limit: int, max_bytes: int) -> None:
        """A scrape may take `seconds`; `limit` of them run at a time; a page may have `max_bytes`, unpacked."""
        self._seconds = seconds
        self._slots = asyncio.Semaphore(limit)
        self._max_bytes = max_bytes
        self._idle: dict[_Address, tuple[Connection, float]] = {}
        """Connections that wait for their next request, the longest idle first, and since when."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection, _ in self._idle.values():
            connection.close()
        self._idle.clear()
        await asyncio.sleep(0)  # in which the event loop lets go of the sockets

    async def get(self, host: str, port: int) -> bytes:
        """The page of the engine at an IP address. Raises ScrapeError."""
        async with self._slots:
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._get((host, port))
            except TimeoutError as error:
                raise ScrapeError("timeout", f"no page within {self._seconds:g} s") from error

    async def _get(self, address: _Address) -> bytes:
        self._close_the_long_idle()
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        request = (_REQUEST % f"{host}:{address[1]}").encode()
        connection, _ = self._idle.pop(address, (None, 0.0))
        if connection is None or not connection.open:
            connection = await self._connected(address)
        try:
            page = await connection.get(request)
        except ScrapeError as error:
            if not (connection.used and connection.silent and error.reason == "connection"):
                raise
            # Closed by the other side in the very moment in which it was used again.
            connection = await self._connected(address)
            page = await connection.get(request)
        if connection.open:
            other, _ = self._idle.pop(address, (None, 0.0))
            if other is not None:
                other.close()
            self._idle[address] = (connection, _now())
        return page

    async def _connected(self, address: _Address) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(lambda: Connection(self._max_bytes), *address)
        except TimeoutError as error:
            raise ScrapeError("timeout", f"no connection within {CONNECT_SECONDS:g} s") from error
        except OSError as error:
            raise ScrapeError("connection", str(error)) from error
        return connection

    def _close_the_long_idle(self) -> None:
        """Those of pods that are gone."""
        while self._idle:
            address, (connection, since) = next(iter(self._idle.items()))
            if connection.open and _now() - since < IDLE_SECONDS:
                return
            connection.close()
            del self._idle[address]


def _now() -> float:
    return asyncio.get_running_loop().time()
