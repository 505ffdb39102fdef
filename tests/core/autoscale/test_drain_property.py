"""Whatever is wanted meanwhile, no request is lost and the fleet gets there."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from slmfleet.core.autoscale.advice import PodLoad
from slmfleet.core.autoscale.drain import DELETION_COST, Heard, shrink, standing
from slmfleet.core.names import DRAINING_SINCE, TRAFFIC

from .test_drain import NOW, TIMEOUT, pod


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
            heard=Heard({name: PodLoad(requests, 0) for name, requests in self.requests.items()}, self.told),
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
