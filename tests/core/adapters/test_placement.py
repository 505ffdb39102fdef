from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.core.adapters.placement import Pod, Wish, place, refused

P0, P1, P2 = frozenset({"p0"}), frozenset({"p1"}), frozenset({"p2"})


def pods(count: int) -> list[Pod]:
    return [Pod(f"p{n}") for n in range(count)]


@pytest.mark.parametrize(
    ("wishes", "count", "slots", "expected"),
    [
        ([Wish("a", None)], 2, 1, {"a": {"p0", "p1"}}),
        # the younger of two for all pods finds no slot
        ([Wish("a", None), Wish("b", None)], 2, 1, {"a": {"p0", "p1"}, "b": set()}),
        # onto the pods that have the fewest
        ([Wish("a", 1), Wish("b", 1), Wish("c", 1)], 2, 4, {"a": {"p0"}, "b": {"p1"}, "c": {"p0"}}),
        # where it is already, though that pod has more
        ([Wish("a", 1), Wish("b", 1, frozenset({"p0"}))], 2, 4, {"a": {"p1"}, "b": {"p0"}}),
        # a pod that went away is replaced, the others stay
        ([Wish("a", 2, frozenset({"p1", "gone"}))], 3, 1, {"a": {"p0", "p1"}}),
        # of two that it was placed on the one that has loaded it, though that one has more
        (
            [Wish("b", 1, frozenset({"p1"})), Wish("a", 1, frozenset({"p0", "p1"}), frozenset({"p1"}))],
            2,
            4,
            {"a": {"p1"}, "b": {"p1"}},
        ),
        # onto the pod to which its adapters bring the fewest requests, though it has more adapters
        (
            [Wish("a", 1, P0, demand=3), Wish("b", 1, P1, demand=1), Wish("c", 1, P1, demand=1), Wish("d", 1)],
            2,
            4,
            {"a": {"p0"}, "b": {"p1"}, "c": {"p1"}, "d": {"p1"}},
        ),
        # an adapter brings each of its pods a share
        (
            [Wish("a", 2, P0 | P1, demand=6), Wish("b", 1, P2, demand=4), Wish("c", 1)],
            3,
            4,
            {"a": {"p0", "p1"}, "b": {"p2"}, "c": {"p0"}},
        ),
        # what is placed in the same look counts too
        ([Wish("a", 1, demand=2), Wish("b", 1, demand=1), Wish("c", 1)], 2, 4, {"a": {"p0"}, "b": {"p1"}, "c": {"p1"}}),
        # where it is it stays, whatever the others bring
        ([Wish("a", 1, P0, demand=9), Wish("b", 1, P0)], 2, 4, {"a": {"p0"}, "b": {"p0"}}),
        # fewer places than wanted
        ([Wish("a", 3)], 2, 1, {"a": {"p0", "p1"}}),
        # an older one for all pods takes the slot
        ([Wish("a", None), Wish("b", 1, frozenset({"p0"}))], 2, 1, {"a": {"p0", "p1"}, "b": set()}),
    ],
)
def test_places(wishes: list[Wish], count: int, slots: int, expected: dict[str, set[str]]) -> None:
    assert place(wishes, pods(count), slots) == expected


def test_a_pod_that_is_not_ready_is_taken_last() -> None:
    assert place([Wish("a", 1)], [Pod("p0", ready=False), Pod("p1")], 1) == {"a": {"p1"}}


def test_a_pod_that_is_emptied_keeps_what_it_has_while_another_gets_it_too() -> None:
    wishes = [Wish("a", 1, frozenset({"p0"})), Wish("b", 1), Wish("c", None)]
    found = place(wishes, [Pod("p0", leaving=True), Pod("p1")], 3)
    assert found == {"a": {"p0", "p1"}, "b": {"p1"}, "c": {"p0", "p1"}}


def test_adapters_for_all_pods_that_find_no_slot_are_named() -> None:
    assert refused([Wish("a", None), Wish("b", 1), Wish("c", None), Wish("d", None)], 2) == {"d"}


NAMES = [f"p{n}" for n in range(6)]
DEMANDS = st.integers(0, 40)
WISHES = st.lists(
    st.tuples(
        st.none() | st.integers(1, 7),
        st.frozensets(st.sampled_from(NAMES)),
        st.frozensets(st.sampled_from(NAMES)),
        DEMANDS,
    ),
    max_size=12,
).map(
    lambda found: [
        Wish(f"a{n}", replicas, before, before & answering, demand)
        for n, (replicas, before, answering, demand) in enumerate(found)
    ]
)
PODS = st.lists(st.tuples(st.sampled_from(NAMES), st.booleans(), st.booleans()), unique_by=lambda pod: pod[0]).map(
    lambda found: [Pod(*pod) for pod in found]
)


def staying(among: list[Pod]) -> set[str]:
    return {pod.name for pod in among if not pod.leaving}


@given(WISHES, PODS, st.integers(1, 5))
def test_no_pod_has_more_than_its_slots_and_no_adapter_more_than_its_replicas(
    wishes: list[Wish], among: list[Pod], slots: int
) -> None:
    chosen = place(wishes, among, slots)
    assert all(sum(pod.name in places for places in chosen.values()) <= slots for pod in among)
    stay = staying(among)
    assert all(wish.replicas is None or len(chosen[wish.name] & stay) <= wish.replicas for wish in wishes)
    assert all(wish.replicas is None or chosen[wish.name] - stay <= wish.before for wish in wishes)
    for wish in wishes:
        if wish.replicas is None:
            assert chosen[wish.name] in ({pod.name for pod in among}, set())


@given(WISHES, PODS, st.integers(1, 5), st.lists(DEMANDS, min_size=12, max_size=12), st.sets(st.sampled_from(NAMES)))
def test_a_second_look_moves_nothing_whatever_the_load_has_become_and_whoever_has_loaded_it(
    wishes: list[Wish], among: list[Pod], slots: int, demands: list[int], loaded: set[str]
) -> None:
    chosen = place(wishes, among, slots)
    again = [
        Wish(wish.name, wish.replicas, chosen[wish.name], chosen[wish.name] & loaded, demand)
        for wish, demand in zip(wishes, demands, strict=False)
    ]
    assert place(again, among[::-1], slots) == chosen


@given(
    st.lists(st.tuples(st.integers(1, 2), DEMANDS), max_size=8),
    st.lists(st.booleans(), min_size=2, max_size=5),
    st.integers(2, 5),
)
def test_one_more_adapter_goes_where_it_meets_the_fewest_requests_then_the_fewest_adapters(
    wanted: list[tuple[int, int]], ready: list[bool], slots: int
) -> None:
    among = [Pod(f"p{n}", ready=each) for n, each in enumerate(ready)]
    wishes = [Wish(f"a{n}", replicas, demand=demand) for n, (replicas, demand) in enumerate(wanted)]
    chosen = place(wishes, among, slots)
    again = [replace(wish, before=chosen[wish.name]) for wish in wishes]
    found = place([*again, Wish("more", 1)], among, slots)["more"]

    def met(name: str) -> tuple[float, int]:
        here = [wish.demand / (wish.replicas or 0) for wish in wishes if name in chosen[wish.name]]
        return sum(here), len(here)

    free = [pod for pod in among if met(pod.name)[1] < slots]
    best = [met(pod.name) for pod in free if pod.ready] or [met(pod.name) for pod in free]
    assert [met(name) for name in found] == ([min(best)] if free else [])


@given(WISHES, PODS, st.integers(1, 5))
def test_places_are_only_left_free_where_no_pod_has_a_slot(wishes: list[Wish], among: list[Pod], slots: int) -> None:
    chosen = place(wishes, among, slots)
    for wish in wishes:
        if wish.replicas is not None and len(chosen[wish.name] & staying(among)) < wish.replicas:
            others = staying(among) - chosen[wish.name]
            assert all(sum(pod in places for places in chosen.values()) == slots for pod in others)


@given(WISHES, PODS, st.integers(1, 5), st.sampled_from(NAMES))
def test_a_pod_that_comes_moves_no_adapter(wishes: list[Wish], among: list[Pod], slots: int, name: str) -> None:
    chosen = place(wishes, among, slots)
    again = [Wish(wish.name, wish.replicas, chosen[wish.name]) for wish in wishes]
    more = among if name in {pod.name for pod in among} else [*among, Pod(name)]
    after = place(again, more, slots)
    assert all(chosen[wish.name] <= after[wish.name] for wish in wishes)
