"""Tables go to guards, and what guards say comes back."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from slmfleet.core.adapters.reports import Report
from slmfleet.core.types import Inspection, TableOrder
from slmfleet.kube.resources import Key
from slmfleet.metrics.adapters import AdapterMetrics
from slmfleet.runtime.adapters import Adapters

from .world import KEY

pytestmark = pytest.mark.looptime

LEGAL = {"legal@1": {"path": "/adapters/1", "alias": "legal"}}


def order(uid: str = "u1", incarnation: str = "c1", *, ready: bool = True, **adapters: Any) -> TableOrder:
    return TableOrder(uid, "10.0.0.1", incarnation, {"adapters": adapters or LEGAL}, ready)


@dataclass
class Guard:
    """A guard that takes `seconds` to load each table; it starts again with the adapters of its file."""

    seconds: float = 0.5
    state: str = "Loaded"
    errors: list[Exception | tuple[int, bytes]] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    table: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    done: float = 0.0

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> tuple[int, bytes]:
        self.calls.append((method, url))
        self.tokens.add(headers["x-slmfleet-token"])
        await asyncio.sleep(0.01)
        if self.errors:
            error = self.errors.pop(0)
            if isinstance(error, Exception):
                raise error
            return error
        now = asyncio.get_running_loop().time()
        if body is not None:
            self.table, self.done, self.number = json.loads(body)["adapters"], now + self.seconds, self.number + 1
        return (200 if body is None else 202), json.dumps(self.said(now)).encode()

    def said(self, now: float) -> dict[str, Any]:
        state = self.state if now >= self.done else "Loading"
        adapters = {name: {"state": state, "reason": "", "seconds": 0.5, "running": now} for name in self.table}
        aliases = {e["alias"]: name for name, e in self.table.items() if state == "Loaded"}
        return {"adapters": adapters, "aliases": aliases, "table": f"t{self.number}", "ready": True}

    def restart(self) -> None:
        self.number, self.table = self.number + 10, {}

    def methods(self) -> str:
        return " ".join(method for method, _ in self.calls)


class Setup:
    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.woken: list[tuple[Key, float]] = []
        self.registry = CollectorRegistry()
        self.adapters = Adapters(self.wake, guard.ask, AdapterMetrics(self.registry))

    def wake(self, key: Key) -> None:
        self.woken.append((key, asyncio.get_running_loop().time()))

    def follow(self, *orders: TableOrder, inspections: tuple[Inspection, ...] = ()) -> None:
        self.adapters.follow(KEY, orders, inspections, "secret")

    def value(self, metric: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(metric, labels)


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    made = Setup(Guard())
    yield made
    await made.adapters.close()


async def test_a_table_is_put_and_looked_at_until_it_is_done(setup: Setup) -> None:
    setup.follow(order())
    await asyncio.sleep(0.3)
    assert setup.adapters.reports(KEY, {"u1": "c1"})["u1"]["adapters"]["legal@1"]["state"] == "Loading"
    await asyncio.sleep(1)
    assert setup.guard.calls[0] == ("PUT", "http://10.0.0.1:8000/slmfleet/adapters")
    assert setup.guard.methods() == "PUT GET GET GET"
    assert setup.guard.tokens == {"secret"}
    assert setup.adapters.reports(KEY, {"u1": "c1"})["u1"]["aliases"] == {"legal": "legal@1"}
    (done,) = setup.woken
    assert done[0] == KEY
    assert done[1] < 1
    assert setup.value("slmfleet_adapter_residencies", namespace=KEY[0], name=KEY[1]) == 1


async def test_what_is_done_is_looked_at_rarely_and_wakes_nobody(setup: Setup) -> None:
    setup.follow(order())
    await asyncio.sleep(2)
    setup.guard.calls.clear()
    setup.woken.clear()
    setup.follow(order())
    await asyncio.sleep(100)
    assert setup.guard.methods() == "GET GET GET GET GET"
    assert setup.woken == []


async def test_a_new_table_goes_out_at_once(setup: Setup) -> None:
    setup.follow(order())
    await asyncio.sleep(5)
    setup.guard.calls.clear()
    setup.follow(order(tax={"path": "/adapters/2", "alias": "tax"}))
    await asyncio.sleep(0.05)
    assert setup.guard.methods() == "PUT"


async def test_a_guard_that_has_another_table_gets_ours_again(setup: Setup) -> None:
    setup.follow(order())
    await asyncio.sleep(2)
    setup.guard.calls.clear()
    setup.guard.restart()
    await asyncio.sleep(20)
    assert setup.guard.methods().startswith("GET PUT GET")
    assert setup.guard.table == LEGAL


async def test_an_engine_that_was_started_again_gets_the_table_at_once(setup: Setup) -> None:
    setup.follow(order())
    await asyncio.sleep(2)
    setup.guard.calls.clear()
    setup.follow(order(incarnation="c2"))
    await asyncio.sleep(0.05)
    assert setup.guard.methods() == "PUT"


async def test_what_a_guard_said_before_its_engine_was_started_again_counts_no_more(setup: Setup) -> None:
    setup.follow(order())
    await asyncio.sleep(2)
    setup.guard.errors = [OSError("refused"), OSError("refused")]
    assert setup.adapters.reports(KEY, {"u1": "c2"}) == {"u1": {"adapters": {}, "aliases": {}}}
    assert setup.value("slmfleet_adapter_residencies", namespace=KEY[0], name=KEY[1]) == 0
    setup.follow(order(incarnation="c2"))
    await asyncio.sleep(1)
    assert setup.adapters.reports(KEY, {"u1": "c2"}) == {"u1": {"adapters": {}, "aliases": {}}}
    await asyncio.sleep(2)
    assert setup.adapters.reports(KEY, {"u1": "c2"})["u1"]["aliases"] == {"legal": "legal@1"}
    assert setup.value("slmfleet_adapter_loads_total") == 2, "each engine has loaded it"


async def test_a_guard_that_does_not_answer_is_asked_again_and_then_told_of(setup: Setup) -> None:
    setup.guard.errors = [OSError("refused"), OSError("refused"), (500, b"no"), TimeoutError(), (200, b"[]")]
    setup.follow(order())
    await asyncio.sleep(1)
    assert setup.adapters.reports(KEY, {"u1": "c1"}) == {}
    assert setup.woken == []
    await asyncio.sleep(1)
    assert "500: no" in setup.adapters.reports(KEY, {"u1": "c1"})["u1"]["error"]
    assert len(setup.woken) == 1
    await asyncio.sleep(20)
    assert "adapters" in setup.adapters.reports(KEY, {"u1": "c1"})["u1"]


async def test_nobody_hears_of_an_engine_that_starts_until_it_answers(setup: Setup) -> None:
    setup.guard.errors = [OSError("refused")] * 1000
    setup.follow(order(ready=False))
    await asyncio.sleep(30)
    assert (setup.adapters.reports(KEY, {"u1": "c1"}), setup.woken) == ({}, [])
    setup.guard.errors.clear()
    setup.follow(order())
    assert setup.adapters.reports(KEY, {"u1": "c1"}) == {}
    await asyncio.sleep(0.05)
    assert "adapters" in setup.adapters.reports(KEY, {"u1": "c1"})["u1"]
    await asyncio.sleep(10)
    assert setup.value("slmfleet_adapter_loads_total") == 1  # it had nothing before


async def test_a_pod_that_is_ready_has_three_calls_before_it_is_silent(setup: Setup) -> None:
    setup.guard.errors = [OSError("refused")] * 1000
    setup.follow(order(ready=False))
    await asyncio.sleep(32)
    setup.follow(order())
    await asyncio.sleep(1)
    assert setup.adapters.reports(KEY, {"u1": "c1"}) == {}
    await asyncio.sleep(1)
    assert setup.adapters.reports(KEY, {"u1": "c1"}) == {"u1": {"error": "refused"}}


async def test_what_an_engine_had_before_it_was_started_again_is_forgotten(setup: Setup) -> None:
    setup.follow(order())
    await asyncio.sleep(5)
    setup.guard.errors = [OSError("refused")] * 1000
    setup.follow(order(ready=False))
    await asyncio.sleep(10)
    assert setup.adapters.reports(KEY, {"u1": "c1"}) == {}


async def test_news_of_loads_under_way_come_once_a_second(setup: Setup) -> None:
    setup.guard.seconds = 100
    for number in range(8):
        setup.follow(order(f"u{number}"))
    await asyncio.sleep(0.9)
    assert setup.woken == []
    await asyncio.sleep(0.3)
    assert len(setup.woken) == 1


async def test_loads_and_failures_are_counted_once_and_not_those_of_before(setup: Setup) -> None:
    setup.guard.seconds = 0
    setup.follow(order())
    await asyncio.sleep(60)
    assert setup.value("slmfleet_adapter_loads_total") == 0  # it may have loaded them long ago
    setup.guard.seconds = 0.5
    setup.follow(order(tax={"path": "/adapters/2", "alias": "tax"}))
    await asyncio.sleep(60)
    assert setup.value("slmfleet_adapter_loads_total") == 1
    assert setup.value("slmfleet_adapter_load_seconds_sum") == 0.5
    setup.guard.state = "Failed"
    setup.follow(order(bad={"path": "/adapters/3", "alias": "bad"}))
    await asyncio.sleep(60)
    assert setup.value("slmfleet_adapter_load_failures_total", reason="Unknown") == 1
    assert setup.value("slmfleet_adapter_guard_calls_total", method="PUT", status="202") == 3


async def test_pods_that_are_gone_are_left_alone(setup: Setup) -> None:
    setup.follow(order("u1"), order("u2"))
    await asyncio.sleep(2)
    assert set(setup.adapters.reports(KEY, {"u2": "c1"})) == {"u2"}
    setup.adapters.forget(KEY)
    setup.guard.calls.clear()
    await asyncio.sleep(100)
    assert setup.guard.calls == []
    assert setup.adapters.reports(KEY, {"u1": "c1", "u2": "c1"}) == {}


async def test_files_are_looked_at_once(setup: Setup) -> None:
    wanted = Inspection("k", "10.0.0.1", "/opt/adapters/a b")
    setup.guard.errors = [OSError("refused"), (500, b"{}"), (422, b'{"error": "PickleRefused", "message": "x.bin"}')]
    for _ in range(3):
        setup.follow(inspections=(wanted, wanted))
        await asyncio.sleep(6)
    setup.follow(inspections=(wanted,))
    await asyncio.sleep(6)
    assert len(setup.guard.calls) == 3
    assert setup.guard.calls[0][1].endswith("/slmfleet/adapters/inspect?path=%2Fopt%2Fadapters%2Fa+b&digest=1")
    assert setup.adapters.inspected(KEY) == {"k": {"error": "PickleRefused", "message": "x.bin"}}
    assert len(setup.woken) == 3


async def test_refused_files_are_looked_at_again_for_somebody_may_have_put_them_right(setup: Setup) -> None:
    wanted = Inspection("k", "10.0.0.1", "/opt/adapters/a")
    setup.guard.errors = [(422, b'{"error": "gone", "reason": "NotFound"}'), (200, b'{"digest": "sha256:1"}')]
    for pause in (20, 20, 60, 60):
        setup.follow(inspections=(wanted,))
        await asyncio.sleep(pause)
    assert len(setup.guard.calls) == 2
    assert setup.adapters.inspected(KEY) == {"k": {"digest": "sha256:1"}}


async def test_an_answer_is_read_once(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    real = Report.read

    def reading(said: Any) -> Report:
        read.append(said)
        return real(said)

    monkeypatch.setattr(Report, "read", reading)
    setup.follow(order())
    await asyncio.sleep(60)
    assert len(read) == len(setup.guard.calls) > 4
    assert setup.value("slmfleet_adapter_residencies", namespace=KEY[0], name=KEY[1]) == 1
    assert len(read) == len(setup.guard.calls)
