"""Telling the guards inside the engines to move their clients elsewhere, or to go on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final

import aiohttp

from slmfleet.core.types import GuardOrder
from slmfleet.engine.container import PORT
from slmfleet.guard.middleware import DRAIN_ROUTE, TOKEN_HEADER
from slmfleet.kube.resources import Key

from .log import about

TIMEOUT: Final = 3.0
"""Seconds that a guard gets to answer: it has nothing to compute."""
RETRY: Final = 5.0
MAX_ANSWER: Final = 4 * 2**20
"""Bytes."""
_NO_SUCH_ROUTE: Final = frozenset({404, 405})
"""What vLLM says behind a guard of a release before the route: there is nothing to tell it."""

Send = Callable[[str, str, Mapping[str, str]], Awaitable[int]]
"""Sends method, URL and headers; the answer's status. Raises ClientError or OSError."""

logger = logging.getLogger(__name__)


class Http:
    """Requests to pods: no redirects, no proxies, little patience."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, method: str, url: str, headers: Mapping[str, str]) -> int:
        """The status of the answer. Raises ClientError or OSError (TimeoutError is one)."""
        async with self._opened().request(method, url, headers=headers, allow_redirects=False) as answer:
            return answer.status

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        return self._session

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> tuple[int, bytes]:
        """Status and body of the answer, within so many seconds. Raises ClientError or OSError; ValueError for more
        than MAX_ANSWER bytes."""
        limits = aiohttp.ClientTimeout(total=seconds)
        async with self._opened().request(
            method, url, headers=headers, data=body, allow_redirects=False, timeout=limits
        ) as answer:
            found = await answer.content.read(MAX_ANSWER + 1)
            while len(found) <= MAX_ANSWER and (more := await answer.content.read(MAX_ANSWER)):
                found += more
            if len(found) > MAX_ANSWER:
                raise ValueError(f"an answer of more than {MAX_ANSWER} bytes")
            return answer.status, found

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class Guards:
    """What each pod's guard was told and has confirmed. Calls run beside the reconciles, which they never delay."""

    def __init__(self, on_told: Callable[[Key], None], send: Send) -> None:
        """`on_told` hears of the fleet one of whose guards has confirmed, or is to be asked again."""
        self._on_told = on_told
        self._told: dict[Key, dict[str, bool]] = {}
        self._calls: dict[str, tuple[bool, asyncio.Task[None]]] = {}
        self._send = send

    def told(self, key: Key, uids: Collection[str]) -> Mapping[str, bool]:
        """By the uid of those pods: what was confirmed last. The others of the fleet are forgotten."""
        known = self._told.get(key)
        if known is None:
            return {}
        for uid in known.keys() - set(uids):
            del known[uid]
        if not known:
            del self._told[key]
        return dict(known)

    def tell(self, key: Key, orders: Iterable[GuardOrder], token: str) -> None:
        """Begin to tell them, unless that is under way; the latest order counts."""
        for order in orders:
            drain, call = self._calls.get(order.uid, (None, None))
            if drain is order.drain:
                continue
            if call is not None:
                call.cancel()
            self._told.get(key, {}).pop(order.uid, None)
            task = asyncio.create_task(self._call(key, order, token), name=f"guard {order.uid}")
            self._calls[order.uid] = (order.drain, task)

    async def close(self) -> None:
        """Give up what is under way."""
        calls = [call for _, call in self._calls.values()]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _call(self, key: Key, order: GuardOrder, token: str) -> None:
        try:
            await self._confirmed(order, token)
            self._told.setdefault(key, {})[order.uid] = order.drain
        except (aiohttp.ClientError, OSError) as error:  # OSError: TimeoutError is one
            logger.info("guard at %s: %s", order.address, str(error) or type(error).__name__, extra=about(key))
            await asyncio.sleep(RETRY)
        del self._calls[order.uid]
        self._on_told(key)

    async def _confirmed(self, order: GuardOrder, token: str) -> None:
        """Returns once the guard has said yes."""
        method, url = "POST" if order.drain else "DELETE", f"{base(order.address)}{DRAIN_ROUTE}"
        status = await self._send(method, url, {TOKEN_HEADER.decode(): token})
        if status != 200 and status not in _NO_SUCH_ROUTE:
            raise OSError(f"answered {status}")


def base(address: str) -> str:
    """The URL of the engine in the pod with that IP."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{PORT}"
