"""Which pods go, in which order, and what becomes of those that need not go after all."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.core.autoscale.advice import PodLoad
from slmfleet.core.autoscale.drain import DELETION_COST, QUIET_SECONDS, Shrink, put_back, shrink, standing
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
) -> Shrink:
    """`loads`: requests and cached tokens by pod; one that is left out cannot be read."""
    known = {name: PodLoad(requests, 0, cached) for name, (requests, cached) in (loads or {}).items()}
    return shrink(
        standing(pods),
        current=current,
        wanted=wanted,
        rolling_out=rolling_out,
        timeout=TIMEOUT,
        loads=known,
        told=told or {},
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


@dataclass
class Cluster:
    """A ReplicaSet, a Service and pods whose requests end."""

    requests: dict[str, float]
    replicas: int = 0
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    costs: dict[str, str] = field(default_factory=dict)
    told: dict[str, bool] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    now: float = NOW

    def __post_init__(self) -> None:
        self.replicas = len(self.requests)
        self.labels = {name: {TRAFFIC: "true"} for name in self.requests}

    def step(self, wanted: int) -> None:
        pods = [pod(name) for name in self.requests]
        for each in pods:
            name = each["metadata"]["name"]
            each["metadata"] |= {
                "labels": self.labels[name],
                "annotations": {DELETION_COST: self.costs[name]} if name in self.costs else {},
            }
        result = shrink(
            standing(pods),
            current=self.replicas,
            wanted=wanted,
            rolling_out=False,
            timeout=TIMEOUT,
            loads={name: PodLoad(requests, 0) for name, requests in self.requests.items()},
            told=self.told,
            now=self.now,
        )
        for patch in result.patches:
            self.labels[patch.ref.name] = dict(patch.labels)
            self.costs.pop(patch.ref.name, None)
            if DELETION_COST in patch.annotations:
                self.costs[patch.ref.name] = patch.annotations[DELETION_COST]
        self.told |= {order.uid: order.drain for order in result.orders}
        self.replicas = result.replicas
        while len(self.requests) > self.replicas:
            victim = min(self.requests, key=lambda name: int(self.costs.get(name, "0")))
            if self.requests.pop(victim) and self.now - float(self.labels[victim][DRAINING_SINCE]) < TIMEOUT:
                self.lost.append(victim)
        while len(self.requests) < self.replicas:
            name = f"{len(self.labels)}"
            self.requests[name], self.labels[name] = 0, {TRAFFIC: "true"}
        for name in self.requests:
            if self.labels[name][TRAFFIC] == "false":
                self.requests[name] = max(0, self.requests[name] - 1)
        self.now += 2


@given(
    requests=st.lists(st.integers(0, 20), min_size=1, max_size=6),
    wanted=st.lists(st.integers(0, 6), min_size=1, max_size=8),
)
def test_whatever_is_wanted_meanwhile_no_request_is_lost_and_the_fleet_gets_there(
    requests: list[int], wanted: list[int]
) -> None:
    cluster = Cluster({str(n): float(count) for n, count in enumerate(requests)})
    for number in wanted:
        for _ in range(4):
            cluster.step(number)
    for _ in range(60):
        cluster.step(wanted[-1])
    assert cluster.lost == []
    assert cluster.replicas == len(cluster.requests) == wanted[-1]
    assert all(cluster.labels[name] == {TRAFFIC: "true"} for name in cluster.requests)
