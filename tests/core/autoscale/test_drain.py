"""Which pods go, in which order, and what becomes of those that need not go after all."""

from collections.abc import Sequence
from typing import Any

import pytest

from slmfleet.core.autoscale.advice import PodLoad
from slmfleet.core.autoscale.drain import (
    CACHE_TOKENS,
    DELETION_COST,
    QUIET_SECONDS,
    Heard,
    Shrink,
    Spread,
    put_back,
    shrink,
    standing,
)
from slmfleet.core.names import DRAINING_SINCE, TRAFFIC
from slmfleet.core.types import Manifest

NOW = 1_800_000_000.0
TIMEOUT = 300.0


def pod(name: str, *, ready: bool = True, since: float | None = None, traffic: str = "true", **more: Any) -> Manifest:
    labels = {TRAFFIC: traffic} | ({} if since is None else {DRAINING_SINCE: f"{since:.0f}"})
    guard = {"name": "guard", "projected": {"sources": [{"configMap": {"name": "support-guard"}}]}}
    return {
        "metadata": {"name": name, "uid": name, "labels": labels, **more},
        "spec": {"volumes": [guard]},
        "status": {"podIP": f"10.0.0.{name}", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def draining(name: str, seconds: float, **more: Any) -> Manifest:
    return pod(name, traffic="false", since=NOW - seconds, **more)


def after(
    *pods: Manifest,
    current: int,
    wanted: int,
    loads: dict[str, tuple[float, float]] | None = None,
    told: dict[str, bool] | None = None,
    rolling_out: bool = False,
    spreads: Sequence[Spread] = (),
) -> Shrink:
    """`loads`: requests and cached tokens by pod; one that is left out cannot be read."""
    known = {name: PodLoad(requests, 0, cached) for name, (requests, cached) in (loads or {}).items()}
    return shrink(
        standing(pods),
        current=current,
        wanted=wanted,
        rolling_out=rolling_out,
        timeout=TIMEOUT,
        heard=Heard(known, told or {}, spreads),
        now=NOW,
    )


def labels(result: Shrink) -> dict[str, str]:
    return {patch.ref.name: patch.labels[TRAFFIC] for patch in result.patches}


def orders(result: Shrink) -> dict[str, bool]:
    return {order.uid: order.drain for order in result.orders}


IDLE = {"1": (0.0, 0.0), "2": (0.0, 0.0), "3": (0.0, 0.0)}


@pytest.mark.parametrize(
    ("loads", "victim"),
    [
        ({"1": (3, 0), "2": (1, 0), "3": (2, 0)}, "2"),  # fewest requests
        ({"1": (1, 900), "2": (1, 500), "3": (1, 700)}, "2"),  # then the least valuable prefix cache
        ({"1": (0, 0), "2": (0, 0), "3": (0, 0)}, "1"),  # then any, always the same
        ({"1": (9, 0), "3": (9, 0)}, "1"),  # one that cannot be read comes last
    ],
)
def test_the_pod_with_the_least_to_lose_leaves_the_service_first(
    loads: dict[str, tuple[float, float]], victim: str
) -> None:
    result = after(pod("1"), pod("2"), pod("3"), current=3, wanted=2, loads=loads)
    assert labels(result) == {victim: "false"}
    assert result.patches[0].labels[DRAINING_SINCE] == "1800000000"
    assert (result.replicas, result.draining) == (3, 1)


def spread(replicas: int, answering: str, chosen: str | None = None) -> Spread:
    """An adapter, by the pods' one-letter names."""
    return Spread(replicas, frozenset(answering), frozenset(answering if chosen is None else chosen))


@pytest.mark.parametrize(
    ("spreads", "victims"),
    [
        # as many as there are adapters that another pod would have to load
        ([spread(1, "1"), spread(1, "2"), spread(1, "2"), spread(1, "3")], "1"),
        ([spread(2, "12"), spread(1, "3"), spread(1, "3")], "1"),
        # one that is on more pods than it needs is not missed, nor one that all others have
        ([spread(1, "12"), spread(1, "3")], "1"),
        ([spread(3, "123"), spread(1, "1")], "2"),
        ([spread(9, "123"), spread(1, "1"), spread(1, "2")], "3"),
        # the second pod goes by what the first one left: of three places two are wanted, then one
        ([spread(3, "123")], "12"),
        ([spread(1, "12"), spread(1, "12"), spread(1, "3")], "13"),
        ([spread(2, "12")], "31"),
    ],
)
def test_of_pods_that_lose_as_much_otherwise_the_one_with_fewest_adapters_to_load_elsewhere_goes(
    spreads: list[Spread], victims: str
) -> None:
    result = after(pod("1"), pod("2"), pod("3"), current=3, wanted=3 - len(victims), loads=IDLE, spreads=spreads)
    assert labels(result) == dict.fromkeys(victims, "false")


@pytest.mark.parametrize(
    ("loads", "victim"),
    [
        ({"1": (0, CACHE_TOKENS - 1), "2": (0, 0)}, "1"),  # the caches are as good as equal
        ({"1": (0, CACHE_TOKENS), "2": (0, 0)}, "2"),
        ({"1": (1, 0), "2": (0, 0)}, "2"),
        ({"2": (0, 0)}, "2"),  # the other one cannot be read
    ],
)
def test_requests_and_prefix_caches_weigh_more_than_adapters(
    loads: dict[str, tuple[float, float]], victim: str
) -> None:
    result = after(pod("1"), pod("2"), current=2, wanted=1, loads=loads, spreads=[spread(1, "2")])
    assert labels(result) == {victim: "false"}


@pytest.mark.parametrize(
    ("answering", "chosen", "goes"),
    [
        ("2", "1", False),  # another pod is loading it
        ("12", "1", True),
        ("2", "", True),  # it has no place elsewhere: nothing would come of waiting
        ("", "1", True),  # nobody gets it here either
        ("3", "1", True),  # somebody else's to keep
    ],
)
def test_an_empty_pod_stays_while_it_is_the_only_one_with_an_adapter_that_comes_to_another(
    answering: str, chosen: str, *, goes: bool
) -> None:
    fleet = (pod("1"), draining("2", TIMEOUT - 1))
    result = after(*fleet, current=2, wanted=1, loads=IDLE, spreads=[spread(1, answering, chosen)])
    assert result.replicas == (1 if goes else 2)
    assert [patch.annotations for patch in result.patches] == ([{DELETION_COST: "-1000"}] if goes else [])


def test_two_pods_that_have_it_between_them_stay_until_one_in_the_service_has_it() -> None:
    fleet = (pod("1"), draining("2", 9), draining("3", 9))
    assert after(*fleet, current=3, wanted=1, loads=IDLE, spreads=[spread(2, "23", "1")]).replicas == 3
    assert after(*fleet, current=3, wanted=1, loads=IDLE, spreads=[spread(2, "123", "1")]).replicas == 1


def test_an_adapter_that_does_not_come_keeps_no_pod_for_longer_than_requests_do() -> None:
    fleet = (pod("1"), draining("2", TIMEOUT))
    assert after(*fleet, current=2, wanted=1, loads=IDLE, spreads=[spread(1, "2", "1")]).replicas == 1


def test_its_guard_is_told_once_it_is_out_of_the_service_and_only_once() -> None:
    fleet = (pod("1"), draining("2", 2))
    assert orders(after(pod("1"), pod("2"), current=2, wanted=1, loads=IDLE)) == {}
    assert orders(after(*fleet, current=2, wanted=1, loads=IDLE)) == {"2": True}
    assert orders(after(*fleet, current=2, wanted=1, loads=IDLE, told={"2": True})) == {}


@pytest.mark.parametrize(
    ("seconds", "requests", "goes"),
    [
        (QUIET_SECONDS - 1, 0, False),  # a node's proxy may still send it requests
        (QUIET_SECONDS, 0, True),
        (TIMEOUT - 1, 1, False),
        (TIMEOUT, 1, True),
        (TIMEOUT - 1, None, False),  # cannot be read: only the time tells
        (TIMEOUT, None, True),
    ],
)
def test_it_goes_when_it_is_empty_or_its_time_is_over(seconds: float, requests: float | None, goes: bool) -> None:
    loads = {"1": (0.0, 0.0)} | ({} if requests is None else {"2": (requests, 0.0)})
    result = after(pod("1"), draining("2", seconds), current=2, wanted=1, loads=loads)
    assert result.replicas == (1 if goes else 2)
    assert [patch.annotations for patch in result.patches] == ([{DELETION_COST: "-1000"}] if goes else [])


def test_a_pod_that_is_not_ready_goes_at_once_and_nobody_drains() -> None:
    result = after(pod("1"), pod("2", ready=False), current=3, wanted=1, loads=IDLE)
    assert (result.replicas, result.patches, result.draining) == (1, (), 0)


def test_the_emptied_pod_stays_marked_until_the_replicaset_has_acted() -> None:
    marked = draining("2", 9, annotations={DELETION_COST: "-1000"})
    assert after(pod("1"), marked, current=1, wanted=1, loads=IDLE).patches == ()


def test_a_pod_that_was_emptied_and_not_taken_is_put_back_at_once_and_its_guard_told() -> None:
    first = after(pod("1"), draining("2", 9), current=2, wanted=2, loads=IDLE)
    assert labels(first) == {"2": "true"}
    assert orders(first) == {"2": False}
    returning = pod("2", since=NOW - 9)
    again = after(pod("1"), returning, current=2, wanted=2, loads=IDLE)
    assert (again.patches, orders(again)) == ((), {"2": False})
    confirmed = after(pod("1"), returning, current=2, wanted=2, loads=IDLE, told={"2": False})
    assert confirmed.patches[0].labels == {TRAFFIC: "true"}
    assert confirmed.orders == ()


def test_load_that_came_back_raises_the_replicas_and_keeps_the_emptied_pod() -> None:
    result = after(pod("1"), draining("2", 9), current=2, wanted=4, loads=IDLE)
    assert (result.replicas, labels(result)) == (4, {"2": "true"})


def test_a_rollout_takes_nobody_away_and_puts_everybody_back() -> None:
    result = after(pod("1"), draining("2", 9), current=2, wanted=1, loads=IDLE, rolling_out=True)
    assert (result.replicas, labels(result)) == (2, {"2": "true"})


def test_who_drains_already_goes_on_even_if_another_one_has_less_by_now() -> None:
    result = after(pod("1"), draining("2", 9), current=2, wanted=1, loads={"1": (0, 0), "2": (5, 0)})
    assert (labels(result), result.replicas) == ({}, 2)


def test_a_pod_that_a_person_took_out_of_the_service_is_left_alone() -> None:
    quarantined = pod("2", traffic="false")
    result = after(pod("1"), quarantined, current=2, wanted=2, loads=IDLE)
    assert (result.patches, result.orders) == ((), ())


def test_without_a_guard_the_label_alone_comes_and_goes() -> None:
    bare = draining("2", 9) | {"spec": {}}
    result = after(pod("1"), bare, current=2, wanted=2, loads=IDLE)
    assert result.patches[0].labels == {TRAFFIC: "true"}
    assert result.orders == ()


def test_when_nobody_decides_by_load_any_more_everybody_takes_part_again() -> None:
    result = put_back(standing([pod("1"), draining("2", 9)]), {})
    assert (labels(result), orders(result)) == ({"2": "true"}, {"2": False})
