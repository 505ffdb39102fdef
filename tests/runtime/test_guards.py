import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from slmfleet.core.types import GuardOrder
from slmfleet.kube.resources import Key
from slmfleet.runtime.guards import RETRY, Guards

from .world import KEY

pytestmark = pytest.mark.looptime

DRAIN, BACK = GuardOrder("u1", "10.0.0.1", drain=True), GuardOrder("u1", "10.0.0.1", drain=False)


@dataclass
class Pods:
    """Guards that answer what the test says, after a while."""

    answers: list[int | Exception] = field(default_factory=list)
    calls: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)
    woken: list[Key] = field(default_factory=list)
    seconds: float = 0.1

    def __post_init__(self) -> None:
        self.guards = Guards(self.woken.append, self.send)

    async def send(self, method: str, url: str, headers: Mapping[str, str]) -> int:
        self.calls.append((method, url, headers))
        await asyncio.sleep(self.seconds)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_an_order_is_confirmed_and_its_fleet_looked_at_again() -> None:
    pods = Pods()
    pods.guards.tell(KEY, [DRAIN], "secret")
    pods.guards.tell(KEY, [DRAIN], "secret")
    assert pods.guards.told(KEY, ["u1"]) == {}
    await asyncio.sleep(1)
    assert pods.calls == [("POST", "http://10.0.0.1:8000/slmfleet/drain", {"x-slmfleet-token": "secret"})]
    assert pods.guards.told(KEY, ["u1"]) == {"u1": True}
    assert pods.woken == [KEY]


async def test_the_latest_order_counts() -> None:
    pods = Pods()
    pods.guards.tell(KEY, [DRAIN], "secret")
    pods.guards.tell(KEY, [BACK], "secret")
    await asyncio.sleep(1)
    assert [call[0] for call in pods.calls] == ["DELETE"]
    assert pods.guards.told(KEY, ["u1"]) == {"u1": False}


async def test_an_older_word_does_not_stand_for_an_order_under_way() -> None:
    pods = Pods()
    pods.guards.tell(KEY, [BACK], "secret")
    await asyncio.sleep(1)
    pods.guards.tell(KEY, [DRAIN], "secret")
    assert pods.guards.told(KEY, ["u1"]) == {}


@pytest.mark.parametrize("failure", [OSError("refused"), TimeoutError(), 503, 403])
async def test_a_guard_that_does_not_confirm_is_asked_again_after_a_while(failure: int | Exception) -> None:
    pods = Pods([failure])
    pods.guards.tell(KEY, [DRAIN], "secret")
    await asyncio.sleep(RETRY)
    pods.guards.tell(KEY, [DRAIN], "secret")
    assert (len(pods.calls), pods.guards.told(KEY, ["u1"]), pods.woken) == (1, {}, [])
    await asyncio.sleep(1)
    assert pods.woken == [KEY]
    pods.guards.tell(KEY, [DRAIN], "secret")
    await asyncio.sleep(1)
    assert pods.guards.told(KEY, ["u1"]) == {"u1": True}


@pytest.mark.parametrize("status", [404, 405])
async def test_a_guard_of_a_release_without_the_route_has_nothing_to_be_told(status: int) -> None:
    pods = Pods([status])
    pods.guards.tell(KEY, [DRAIN], "secret")
    await asyncio.sleep(1)
    assert pods.guards.told(KEY, ["u1"]) == {"u1": True}


async def test_a_pod_that_is_gone_is_forgotten() -> None:
    pods = Pods()
    pods.guards.tell(KEY, [DRAIN], "secret")
    await asyncio.sleep(1)
    assert pods.guards.told(KEY, ["u2"]) == {}
    assert pods.guards.told(KEY, ["u1"]) == {}


async def test_an_address_of_ipv6_is_written_as_urls_want_it() -> None:
    pods = Pods()
    pods.guards.tell(KEY, [GuardOrder("u1", "fd00::1", drain=True)], "secret")
    await asyncio.sleep(1)
    assert pods.calls[0][1] == "http://[fd00::1]:8000/slmfleet/drain"


async def test_what_is_under_way_is_given_up_at_the_end() -> None:
    pods = Pods(seconds=100)
    pods.guards.tell(KEY, [DRAIN], "secret")
    await asyncio.sleep(0.1)
    await pods.guards.close()
    assert pods.woken == []
