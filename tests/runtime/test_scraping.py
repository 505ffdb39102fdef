"""The scraping loop on virtual time: who is asked when, and what becomes of the answers."""

import asyncio
import logging
from collections import Counter
from itertools import pairwise

import pytest

from slmfleet.core.autoscale.advice import PodLoad
from slmfleet.core.autoscale.fleet import HUNG_SECONDS
from slmfleet.kube.resources import Key
from slmfleet.metrics.scrape import ScrapeError
from slmfleet.runtime.scraping import AT_A_TIME, FAST_SECONDS, LONGEST_PAUSE, TICK, FleetLook
from tests.core.autoscale.pods import pod, started

from .scraped import IDLE, KEY, World, busy, engine

pytestmark = pytest.mark.looptime

OUT = {"slmfleet.dev/traffic": "false"}


async def test_every_ready_pod_is_read_every_two_seconds_and_a_look_follows() -> None:
    world = World(engine("a", 1), engine("b", 2), pod("c"), _1=busy(2), _2=busy(3))
    async with world.running():
        await asyncio.sleep(60)
    assert 28 <= len(world.looks) <= 31
    assert len(world.looks) <= world.asked["10.0.0.1"] <= len(world.looks) + 1
    signals = world.last.signals
    assert (signals.ready, signals.reporting, signals.measured, signals.pending) == (2, 2, 2, 1)
    assert (signals.running, signals.hung) == (5, 2)  # the same page all the time
    assert world.last.loads == {"a": PodLoad(2, 0), "b": PodLoad(3, 0)}
    assert all(1.8 <= look.signals.seconds <= 2.2 for _, _, look in world.looks[1:])
    assert (world.value("scrape_seconds_count") or 0) >= 56


async def test_the_caller_decides_how_often() -> None:
    world = World(engine("a", 1), _1=IDLE, period=FAST_SECONDS)
    async with world.running():
        await asyncio.sleep(10)
        fast = len(world.looks)
        world.period = 5.0
        await asyncio.sleep(50)
    assert 8 <= fast <= 11
    assert 9 <= len(world.looks) - fast <= 12


async def test_a_fleet_without_pods_is_looked_at_all_the_same() -> None:
    world = World()
    async with world.running():
        await asyncio.sleep(5)
    assert (world.last.signals.ready, world.last.signals.reporting) == (0, 0)


async def test_a_pod_that_is_emptied_is_read_for_its_load_and_is_no_part_of_the_signals() -> None:
    world = World(engine("a", 1), engine("b", 2, labels=OUT), _1=busy(2), _2=busy(3))
    async with world.running():
        await asyncio.sleep(5)
    assert (world.last.signals.ready, world.last.signals.running) == (1, 2)
    assert world.last.loads["b"].running == 3
    assert world.last.missing == {}


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (ScrapeError("status", "/metrics answers 503"), "status", "/metrics answers 503"),
        (b"<html>", "foreign", "no metrics of vLLM"),
        (busy(float("nan")), "invalid", "vllm:num_requests_running is NaN"),
    ],
)
async def test_a_pod_that_cannot_be_read_is_missing_with_the_reason(
    answer: bytes | Exception, reason: str, words: str
) -> None:
    world = World(engine("a", 1), engine("b", 2), _1=busy(4), _2=answer)
    async with world.running():
        await asyncio.sleep(5)
        assert world.value("engines_missing") == 1
    assert (world.last.signals.ready, world.last.signals.reporting, world.last.signals.running) == (2, 1, 4)
    assert list(world.last.missing) == ["support-b"]
    assert words in world.last.missing["support-b"]
    assert (world.value("scrape_failures_total", reason=reason) or 0) >= 1
    assert world.value("engines_missing") == 0  # nobody looks any more


async def test_a_pod_without_an_address_is_missing() -> None:
    world = World(started("a", address=""))
    async with world.running():
        await asyncio.sleep(5)
    assert world.last.missing == {"support-a": "its status tells no address"}


async def test_a_silent_pod_holds_up_no_look_by_more_than_a_second() -> None:
    world = World(engine("a", 1), engine("b", 2), _1=busy(4), _2=None)
    async with world.running():
        await asyncio.sleep(60)
    times = [at for at, _, _ in world.looks]
    assert max(b - a for a, b in pairwise(times)) < 3.2
    assert all(look.signals.reporting == 1 for _, _, look in world.looks)


async def test_a_slow_page_belongs_to_the_next_look() -> None:
    world = World(engine("a", 1))
    pages = iter(range(1000))

    async def slow(_address: str, _port: int) -> bytes:
        await asyncio.sleep(1.5)
        return busy(4, generation_tokens=next(pages) * 10.0)

    world.scraping._get = slow
    async with world.running():
        await asyncio.sleep(30)
    reporting = [look.signals.reporting for _, _, look in world.looks]
    assert reporting[:2] == [0, 1]
    assert sum(look.signals.generated_tokens for _, _, look in world.looks) > 0


async def test_a_pod_that_keeps_failing_is_asked_less_often_and_found_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    world = World(engine("a", 1), _1=ScrapeError("connection", "refused"))
    async with world.running():
        await asyncio.sleep(10)
        world.asked.clear()
        await asyncio.sleep(100)
        assert world.asked["10.0.0.1"] <= 100 / (LONGEST_PAUSE / 2)
        world.answers["10.0.0.1"] = IDLE
        await asyncio.sleep(LONGEST_PAUSE + 3)
    assert world.last.signals.reporting == 1
    assert caplog.messages == ["pod support-a cannot be read: refused", "pod support-a can be read again"]


async def test_a_hung_engine_is_told() -> None:
    world = World(engine("a", 1), engine("b", 2), _1=busy(4), _2=busy(0))
    async with world.running():
        await asyncio.sleep(HUNG_SECONDS - 3)
        assert world.last.hung == frozenset()
        await asyncio.sleep(7)
        assert world.last.hung == {"a"}
        assert world.value("engines_hung") == 1


async def test_a_gone_fleet_is_not_looked_at_any_more_and_can_come_back() -> None:
    world = World(engine("a", 1), _1=IDLE)
    async with world.running():
        await asyncio.sleep(5)
        del world.fleets[KEY]
        await asyncio.sleep(5)
        looks = len(world.looks)
        await asyncio.sleep(20)
        assert len(world.looks) == looks
        world.fleets[KEY] = (engine("a", 1),)
        world.scraping.follow(KEY)
        world.scraping.follow(KEY)
        await asyncio.sleep(20)
        assert 9 <= len(world.looks) - looks <= 11
        assert world.looks[looks][2].signals.measured == 0


async def test_a_pod_that_is_gone_is_not_asked_any_more() -> None:
    world = World(engine("a", 1), engine("b", 2), _1=IDLE, _2=None)
    async with world.running():
        await asyncio.sleep(5)
        world.fleets[KEY] = (engine("a", 1),)
        await asyncio.sleep(5)
        world.asked.clear()
        await asyncio.sleep(10)
    assert set(world.asked) == {"10.0.0.1"}


async def test_what_is_followed_before_the_loop_runs_is_looked_at_once_it_does() -> None:
    world = World(engine("a", 1), _1=IDLE)
    world.scraping.follow(KEY)
    async with world.running():
        await asyncio.sleep(5)
    assert len(world.looks) >= 2


async def test_an_error_about_one_fleet_is_logged_and_delays_no_other(caplog: pytest.LogCaptureFixture) -> None:
    world = World(engine("a", 1), _1=IDLE)
    other = ("chat", "other")
    world.fleets[other] = ()
    hear = world.on_look

    def on_look(key: Key, look: FleetLook) -> None:
        if key == KEY:
            raise ValueError("a bug")
        hear(key, look)

    world.scraping._on_look = on_look
    async with world.running(KEY, other):
        await asyncio.sleep(20)
    assert len(world.looks) >= 9
    assert set(caplog.messages) == {"a look at the fleet failed"}
    assert 9 <= len(caplog.messages) <= 11


async def test_many_pods_are_asked_one_after_the_other() -> None:
    pods = [engine(f"p{n}", n) for n in range(1, 500)]
    world = World(*pods)
    times: list[float] = []

    async def get(_address: str, _port: int) -> bytes:
        times.append(asyncio.get_running_loop().time())
        return IDLE

    world.scraping._get = get
    async with world.running():
        await asyncio.sleep(4.5)
    first = Counter(round(at, 2) for at in times if at < times[0] + 1.5)
    assert sum(first.values()) == 499
    assert set(first.values()) <= {AT_A_TIME, 499 % AT_A_TIME}
    assert max(first) - min(first) == pytest.approx(19 * TICK)
    assert world.last.signals.reporting == 499


async def test_fleets_that_were_found_together_are_asked_at_different_times() -> None:
    world = World()
    keys = [("chat", f"f{n}") for n in range(50)]
    world.fleets = dict.fromkeys(keys, ())
    async with world.running(*keys):
        await asyncio.sleep(1.9)
    times = [at for at, _, _ in world.looks]
    assert len({round(at, 1) for at in times}) > 10
