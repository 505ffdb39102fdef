"""Telling guards which adapters their engines should have, and hearing which they have."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from slmfleet.core.adapters.reports import FAILED, LOADED, Report
from slmfleet.core.types import Inspection, TableOrder
from slmfleet.guard.adapter_layer import INSPECT_ROUTE, TABLE_ROUTE
from slmfleet.guard.middleware import TOKEN_HEADER
from slmfleet.kube.resources import Key
from slmfleet.metrics.adapters import AdapterMetrics

from .guards import base
from .log import about

ANSWER_SECONDS: Final = 5.0
INSPECT_SECONDS: Final = 120.0
"""A guard reads all files for their digest."""
INSPECT_AGAIN_SECONDS: Final = 30.0
"""Files that were refused are not looked at again before; those that were read never are."""
LOADING_SECONDS: Final = (0.2, 0.2, 0.4, 0.4, 0.8, 1.6)
"""Pauses between looks at a guard that is working towards its table; the last one goes on."""
SETTLED_SECONDS: Final = 20.0
RETRY_SECONDS: Final = (0.5, 1.0, 2.0)
SILENT_AFTER: Final = 3
"""So many calls in a row without an answer, and a pod that is ready counts as silent."""
NEWS_SECONDS: Final = 1.0
"""News of loads under way are told to the reconciler at most so often; that all is done, at once."""
CALLS: Final = 64
"""At the same time."""

Ask = Callable[[str, str, Mapping[str, str], bytes | None, float], Awaitable[tuple[int, bytes]]]
"""Sends method, URL, headers and body within seconds; status and body of the answer. Raises ClientError, OSError or
ValueError."""

logger = logging.getLogger(__name__)


@dataclass
class _Pod:
    """What is known about one guard, and what it should be told."""

    key: Key
    order: TableOrder
    token: str
    news: asyncio.Event = field(default_factory=asyncio.Event)
    confirmed: tuple[str, Mapping[str, Any], str] | None = None
    """Incarnation and table that it has taken, and what it calls that table."""
    report: Any = None
    """Its last answer, or {"error": …} once it is silent although it is ready; None while nothing is known."""
    heard: Report | None = None
    """The same as it is read, once: there are many adapters in it. None while it is silent."""
    failures: int = 0
    silent: bool = False
    """It has not answered for a while: what it has when it does, it has loaded meanwhile."""
    looks: int = 0


class Adapters:
    """One task per pod, beside the reconciles, which are woken by what is new."""

    def __init__(self, on_news: Callable[[Key], None], ask: Ask, metrics: AdapterMetrics) -> None:
        """`on_news` hears of the fleet of which a guard says something else than before."""
        self._on_news = on_news
        self._ask = ask
        self._metrics = metrics
        self._pods: dict[Key, dict[str, _Pod]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._inspected: dict[Key, dict[str, Any]] = {}
        self._refused_at: dict[str, float] = {}
        self._inspecting: dict[str, asyncio.Task[None]] = {}
        self._late: dict[Key, asyncio.TimerHandle] = {}
        self._free = asyncio.Semaphore(CALLS)
        metrics.residency(self._residency)

    def reports(self, key: Key, incarnations: Mapping[str, str]) -> Mapping[str, Any]:
        """By the uid of those pods: the last answer of its guard. The others of the fleet are forgotten.

        What a guard said about an engine before the present incarnation counts no more.
        """
        pods = self._pods.get(key, {})
        for uid in pods.keys() - incarnations.keys():
            del pods[uid]
            self._tasks.pop(uid).cancel()
        for uid, pod in pods.items():
            if pod.report is not None and pod.order.incarnation != incarnations[uid]:
                pod.report, pod.heard = {"adapters": {}, "aliases": {}}, Report()
        if not pods:
            self._pods.pop(key, None)
        return {uid: pod.report for uid, pod in pods.items() if pod.report is not None}

    def inspected(self, key: Key) -> Mapping[str, Any]:
        """By the key of an inspection: the facts, or why there are none."""
        return dict(self._inspected.get(key, {}))

    def follow(self, key: Key, orders: Iterable[TableOrder], inspections: Iterable[Inspection], token: str) -> None:
        """Bring these pods to their tables, and have these files looked at; what is under way goes on."""
        for order in orders:
            pods = self._pods.setdefault(key, {})
            pod = pods.get(order.uid)
            if pod is None:
                pod = pods[order.uid] = _Pod(key, order, token)
                self._tasks[order.uid] = asyncio.create_task(self._work(pod), name=f"adapters {order.uid}")
            elif pod.order != order:
                if order.ready and not pod.order.ready:
                    pod.failures = 0
                pod.order, pod.looks = order, 0
                pod.news.set()
        for wanted in inspections:
            if wanted.key not in self._inspecting and self._unread(key, wanted.key):
                task = asyncio.create_task(self._inspect(key, wanted, token), name=f"inspect {wanted.key}")
                self._inspecting[wanted.key] = task

    def forget(self, key: Key) -> None:
        """The fleet is gone."""
        self.reports(key, {})
        for inspection in self._inspected.pop(key, {}):
            self._refused_at.pop(inspection, None)
        if (late := self._late.pop(key, None)) is not None:
            late.cancel()

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [*self._tasks.values(), *self._inspecting.values()]
        for late in self._late.values():
            late.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, pod: _Pod) -> None:
        """Tell and look, for as long as the pod is there."""
        while True:
            pod.news.clear()
            pause = await self._look(pod)
            try:
                await asyncio.wait_for(pod.news.wait(), pause)
            except TimeoutError:
                continue

    async def _look(self, pod: _Pod) -> float:
        """One call; the seconds to the next one."""
        order = pod.order
        try:
            said, heard = await self._call(pod, order)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # OSError: TimeoutError is one
            pod.failures += 1
            if pod.failures >= SILENT_AFTER:
                pod.silent = True
                self._hear(pod, {"error": str(error) or type(error).__name__} if order.ready else None, None)
            return RETRY_SECONDS[min(pod.failures, len(RETRY_SECONDS)) - 1]
        pod.failures = 0
        pod.looks += 1
        self._hear(pod, said, heard)
        if _settled(heard, order.table):
            return SETTLED_SECONDS
        return LOADING_SECONDS[min(pod.looks, len(LOADING_SECONDS)) - 1]

    async def _call(self, pod: _Pod, order: TableOrder) -> tuple[Any, Report]:
        """PUT a table that the guard does not have, else GET. Raises ClientError, OSError or ValueError."""
        taken = pod.confirmed
        known = taken is not None and taken[:2] == (order.incarnation, order.table)
        if known:
            said, heard = await self._answer("GET", order.address, pod.token, None)
            if taken is not None and said.get("table") == taken[2]:
                return said, heard
        said, heard = await self._answer("PUT", order.address, pod.token, json.dumps(order.table).encode())
        pod.confirmed = (order.incarnation, order.table, str(said.get("table")))
        return said, heard

    async def _answer(self, method: str, address: str, token: str, body: bytes | None) -> tuple[dict[str, Any], Report]:
        status, text = await self._sent(method, f"{base(address)}{TABLE_ROUTE}", token, body, ANSWER_SECONDS)
        if status not in (200, 202):
            raise ValueError(f"{method} {TABLE_ROUTE} was answered {status}: {text[:300].decode(errors='replace')}")
        said: dict[str, Any] = json.loads(text)
        return said, Report.read(said)

    async def _sent(self, method: str, url: str, token: str, body: bytes | None, seconds: float) -> tuple[int, bytes]:
        headers = {TOKEN_HEADER.decode(): token, "content-type": "application/json"}
        status = 0
        try:
            async with self._free:
                status, text = await self._ask(method, url, headers, body, seconds)
            return status, text
        finally:
            self._metrics.calls.labels(method, str(status)).inc()

    def _hear(self, pod: _Pod, said: Any, heard: Report | None) -> None:  # noqa: ANN401 - JSON
        before, reported = pod.heard, pod.report
        pod.report, pod.heard = said, heard
        if heard is not None and (reported is not None or pod.silent):
            self._count(Report() if before is None else before, heard)
            pod.silent = False
        if (before, heard) == (None, None) and reported == said:
            return
        if before is not None and heard is not None and _told(before) == _told(heard):
            return
        if heard is None or _settled(heard, pod.order.table):
            if (late := self._late.pop(pod.key, None)) is not None:
                late.cancel()
            self._on_news(pod.key)
        elif pod.key not in self._late:
            loop = asyncio.get_running_loop()
            self._late[pod.key] = loop.call_later(NEWS_SECONDS, self._tell_late, pod.key)

    def _tell_late(self, key: Key) -> None:
        del self._late[key]
        self._on_news(key)

    def _count(self, before: Report, heard: Report) -> None:
        """Loads and failures that are new since the answer before; the first one tells of none that we have seen."""
        for name, held in heard.adapters.items():
            known = before.adapters.get(name)
            if known is not None and known.state == held.state:
                continue
            if held.state == LOADED:
                self._metrics.loads.inc()
                self._metrics.seconds.observe(held.seconds)
            elif held.state == FAILED:
                self._metrics.failures.labels(held.reason or "Unknown").inc()

    async def _inspect(self, key: Key, wanted: Inspection, token: str) -> None:
        query = urlencode({"path": wanted.path, "digest": "1"})
        try:
            status, text = await self._sent(
                "GET", f"{base(wanted.address)}{INSPECT_ROUTE}?{query}", token, None, INSPECT_SECONDS
            )
            said = json.loads(text)
            if status not in (200, 422) or not isinstance(said, dict):
                raise ValueError(f"answered {status}")
            self._inspected.setdefault(key, {})[wanted.key] = said
            if status == 422:
                self._refused_at[wanted.key] = asyncio.get_running_loop().time()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text_ = str(error) or type(error).__name__
            logger.info("files of an adapter were not read at %s: %s", wanted.address, text_, extra=about(key))
            await asyncio.sleep(RETRY_SECONDS[-1])
        del self._inspecting[wanted.key]
        self._on_news(key)

    def _unread(self, key: Key, inspection: str) -> bool:
        """Whether files are to be looked at: for the first time, or again since somebody may have put them right."""
        said = self._inspected.get(key, {}).get(inspection)
        if said is None or "error" not in said:
            return said is None
        return asyncio.get_running_loop().time() >= self._refused_at.get(inspection, 0.0) + INSPECT_AGAIN_SECONDS

    def _residency(self) -> Iterable[tuple[str, str, int]]:
        for key, pods in self._pods.items():
            heard = [pod.heard for pod in pods.values() if pod.heard is not None]
            yield *key, sum(held.state == LOADED for report in heard for held in report.adapters.values())


def _told(report: Report) -> object:
    """What the reconciler decides by: neither requests nor seconds."""
    kept = {name: (held.state, held.path, held.reason, held.message) for name, held in report.adapters.items()}
    return kept, report.aliases


def _settled(report: Report, table: Mapping[str, Any]) -> bool:
    """Whether a guard has done all that its table asks for, or will not do more."""
    wanted = table["adapters"]
    named = all(
        report.answering(entry["alias"]) == name
        for name, entry in wanted.items()
        if entry["alias"] is not None and report.loaded(name)
    )
    return report.settled and named and wanted.keys() <= report.adapters.keys()
