"""Emptying pods and placing adapters, together: whoever goes has handed on what it alone had."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from slmfleet.core.adapters.placement import Pod, Wish, place
from slmfleet.core.autoscale.advice import PodLoad
from slmfleet.core.autoscale.drain import DELETION_COST, Heard, Spread, shrink, standing
from slmfleet.core.names import TRAFFIC

from .test_drain import NOW, pod

SLOTS = 4
STEP = 2.0
LOAD_STEPS = 8
CHANGES = 4
CHANGE_STEPS = 4
TIMEOUT = STEP * (CHANGES * CHANGE_STEPS + LOAD_STEPS + 2)
"""Long enough for a load that begins anew with each change of mind."""


@dataclass
class Cluster:
    """Idle pods that load an adapter in some steps after it was placed there, and a ReplicaSet."""

    replicas: int
    wishes: dict[str, int]
    """How many pods should have each adapter."""
    steps: int
    """That a load takes."""
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    costs: dict[str, str] = field(default_factory=dict)
    told: dict[str, bool] = field(default_factory=dict)
    places: dict[str, dict[str, int]] = field(default_factory=dict)
    """By adapter and pod: the steps until it is loaded."""
    made: int = 0
    now: float = NOW

    def __post_init__(self) -> None:
        self.places = {name: {} for name in self.wishes}
        self._grow(self.replicas)

    def answering(self, name: str) -> frozenset[str]:
        return frozenset(pod for pod, left in self.places[name].items() if left == 0)

    def step(self, wanted: int) -> None:
        spreads = self._place()
        pods = [pod(name) for name in self.labels]
        for each in pods:
            name = each["metadata"]["name"]
            each["metadata"]["labels"] = self.labels[name]
            each["metadata"]["annotations"] = {DELETION_COST: self.costs.get(name, "")}
        result = shrink(
            standing(pods),
            current=self.replicas,
            wanted=wanted,
            rolling_out=False,
            timeout=TIMEOUT,
            heard=Heard(dict.fromkeys(self.labels, PodLoad(0, 0)), self.told, spreads),
            now=self.now,
        )
        for patch in result.patches:
            self.labels[patch.ref.name] = dict(patch.labels)
            self.costs[patch.ref.name] = patch.annotations.get(DELETION_COST, "")
        self.told |= {order.uid: order.drain for order in result.orders}
        self.replicas = result.replicas
        while len(self.labels) > self.replicas:
            victim = min(self.labels, key=lambda name: int(self.costs.get(name) or 0))
            del self.labels[victim]
            for places in self.places.values():
                places.pop(victim, None)
        self._grow(self.replicas)
        self.now += STEP

    def _place(self) -> list[Spread]:
        seats = [Pod(name, leaving=labels[TRAFFIC] == "false") for name, labels in self.labels.items()]
        wishes = [
            Wish(name, number, frozenset(self.places[name]), self.answering(name))
            for name, number in self.wishes.items()
        ]
        chosen = place(wishes, seats, SLOTS)
        for name, pods in chosen.items():
            left = self.places[name]
            self.places[name] = {pod: max(0, left[pod] - 1) if pod in left else self.steps for pod in pods}
        staying = {seat.name for seat in seats if not seat.leaving}
        return [Spread(self.wishes[name], self.answering(name), chosen[name] & staying) for name in self.wishes]

    def _grow(self, number: int) -> None:
        while len(self.labels) < number:
            self.made += 1
            self.labels[str(self.made)] = {TRAFFIC: "true"}


@given(
    wishes=st.lists(st.integers(1, 4), min_size=1, max_size=SLOTS),
    steps=st.integers(0, LOAD_STEPS),
    begin=st.integers(1, 6),
    wanted=st.lists(st.integers(1, 6), min_size=1, max_size=CHANGES),
)
def test_an_adapter_that_is_answered_stays_so_while_pods_come_and_go(
    wishes: list[int], steps: int, begin: int, wanted: list[int]
) -> None:
    cluster = Cluster(begin, {f"a{n}": number for n, number in enumerate(wishes)}, steps)
    for _ in range(steps + 2):
        cluster.step(begin)
    assert all(cluster.answering(name) for name in cluster.wishes)
    for number in wanted:
        for _ in range(CHANGE_STEPS):
            cluster.step(number)
            assert all(cluster.answering(name) for name in cluster.wishes)
    for _ in range(2 * steps + 10):
        cluster.step(wanted[-1])
        assert all(cluster.answering(name) for name in cluster.wishes)
    assert cluster.replicas == len(cluster.labels) == wanted[-1]
    assert {name: len(cluster.answering(name)) for name in cluster.wishes} == {
        name: min(number, wanted[-1]) for name, number in cluster.wishes.items()
    }
