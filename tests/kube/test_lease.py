import asyncio
from random import Random

import pytest

from slmfleet.kube.errors import KubeError, NotLeaderError, TransientError
from slmfleet.kube.lease import Lease
from slmfleet.kube.resources import Manifest, Resource

from .fake import FakeClient

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


def lease(client: FakeClient, identity: str) -> Lease:
    return Lease(client, "slmfleet", "operator", identity, Random(identity))


def record(client: FakeClient) -> Manifest:
    return client.objects["leases", "slmfleet", "operator"]


class Cuttable(FakeClient):
    """The way of one replica to the same API server, which can be cut."""

    def __init__(self, server: FakeClient) -> None:
        super().__init__()
        self.__dict__ = {**server.__dict__, "down": False}

    down: bool

    async def _request(self, verb: str, resource: Resource, name: str) -> None:
        if self.down:
            raise TransientError("connection refused")
        await super()._request(verb, resource, name)


async def test_the_first_candidate_gets_it_and_the_second_waits() -> None:
    client = FakeClient()
    first, second = lease(client, "first"), lease(client, "second")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(300)
    assert (first.held, second.held, waiting.done(), holding.done()) == (True, False, False, False)
    assert record(client)["spec"]["holderIdentity"] == "first"
    assert record(client)["spec"]["leaseTransitions"] == 0
    for task in (holding, waiting):
        task.cancel()


async def test_a_released_lease_is_taken_within_seconds() -> None:
    client = FakeClient()
    first, second = lease(client, "first"), lease(client, "second")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(5)
    released = now()
    await first.release()
    assert not first.held
    await waiting
    assert now() - released < 3
    assert second.held
    assert record(client)["spec"]["leaseTransitions"] == 2


async def test_a_dead_holder_is_followed_after_the_lease_ran_out_and_not_before() -> None:
    client = FakeClient()
    first, second = lease(client, "first"), lease(client, "second")
    await first.acquire()
    await second.acquire()
    assert 15 <= now() < 18
    assert not first.held


async def test_a_holder_that_cannot_renew_stops_writing_before_another_may_take_over() -> None:
    server = FakeClient()
    client = Cuttable(server)
    first, second = lease(client, "first"), lease(server, "second")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(20)
    client.down = True
    cut = now()
    with pytest.raises(NotLeaderError):
        await holding
    stopped = now()
    assert 7 < stopped - cut < 12.5
    with pytest.raises(NotLeaderError):
        first.assert_held()
    assert not second.held
    await waiting
    assert now() > stopped


async def test_a_process_that_was_frozen_does_not_write_when_it_wakes() -> None:
    client = FakeClient()
    first, second = lease(client, "first"), lease(client, "second")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    holding.cancel()  # frozen: it runs nothing, and its clock goes on
    await second.acquire()
    with pytest.raises(NotLeaderError):
        first.assert_held()
    with pytest.raises(NotLeaderError):
        await first.hold()
    assert second.held


async def test_a_short_outage_of_the_api_server_costs_nothing() -> None:
    client = FakeClient()
    holder = lease(client, "first")
    await holder.acquire()
    holding = asyncio.create_task(holder.hold())
    client.fail("replace", "Lease", *[TransientError("etcd leader changed")] * 3)
    await asyncio.sleep(60)
    assert (holder.held, holding.done()) == (True, False)
    holding.cancel()


async def test_a_renewal_that_hangs_counts_from_its_start() -> None:
    client = FakeClient()
    holder = lease(client, "first")
    await holder.acquire()
    client.delay = 4.0
    holding = asyncio.create_task(holder.hold())
    await asyncio.sleep(6.5)  # started at about 2, answered at about 6
    client.delay = 100.0
    with pytest.raises(NotLeaderError):
        await holding
    assert 12 <= now() < 15.5


@pytest.mark.parametrize("skew", ["1999-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"])
async def test_the_clocks_of_other_machines_do_not_matter(skew: str) -> None:
    client = FakeClient()
    first, second = lease(client, "first"), lease(client, "second")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    for _ in range(10):  # renewed by a replica whose clock is years off
        record(client)["spec"]["renewTime"] = skew = skew[:-2] + f"{_}Z"
        await asyncio.sleep(5)
        assert not waiting.done()
    renewed = now() - 5
    await waiting
    assert 15 <= now() - renewed < 20


async def test_losing_the_race_for_a_free_lease_is_noticed() -> None:
    client = FakeClient()
    client.delay = 0.1
    both = [lease(client, "first"), lease(client, "second")]
    tasks = [asyncio.create_task(candidate.acquire()) for candidate in both]
    await asyncio.sleep(1)
    assert sorted(candidate.held for candidate in both) == [False, True]
    for task in tasks:
        task.cancel()


async def test_a_holder_that_finds_another_name_in_the_record_stops_at_once() -> None:
    client = FakeClient()
    holder = lease(client, "first")
    await holder.acquire()
    stolen = record(client)
    stolen["spec"]["holderIdentity"] = "thief"
    stolen["metadata"]["resourceVersion"] = "999"
    with pytest.raises(NotLeaderError):
        await holder.hold()
    assert now() < 3


async def test_a_lease_that_somebody_deleted_is_made_again() -> None:
    client = FakeClient()
    holder = lease(client, "first")
    await holder.acquire()
    holding = asyncio.create_task(holder.hold())
    del client.objects["leases", "slmfleet", "operator"]
    await asyncio.sleep(30)
    assert (holder.held, holding.done()) == (True, False)
    assert record(client)["spec"]["holderIdentity"] == "first"
    holding.cancel()


async def test_a_failed_release_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    client = FakeClient()
    holder = lease(client, "first")
    await holder.acquire()
    client.fail("replace", "Lease", KubeError("gone away"))
    await holder.release()
    assert not holder.held
    assert "it runs out in 15 s: gone away" in caplog.text


async def test_another_holder_is_not_thrown_out_by_a_late_release() -> None:
    client = FakeClient()
    first = lease(client, "first")
    await first.acquire()
    record(client)["spec"]["holderIdentity"] = "second"
    await first.release()
    assert record(client)["spec"]["holderIdentity"] == "second"


async def test_a_write_may_take_no_longer_than_the_lease_is_good_for() -> None:
    client = FakeClient()
    held = lease(client, "first")
    await held.acquire()
    assert held.assert_held() == 10
    await asyncio.sleep(7)
    assert held.assert_held() == pytest.approx(3)
