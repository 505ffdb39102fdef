"""Which pods have which adapters.

    seats    = the pods, each with the same number of slots (spec.engine.lora.maxCpuAdapters): more adapters than slots
               would be evicted and read from their files again and again
    All      = on every pod, or on none: a fleet of which some pods answer 404 is worse than one that says no
    k of n   = first where it is answered, then where it is being loaded, then on the pods to which the adapters there
               bring the fewest requests, and of those on the ones that have the fewest adapters

An adapter brings each of its pods an equal share of its running requests: a Service spreads them, and a pod that has
not loaded it yet will have its share soon. Adapters for all pods bring every pod the same. Ranks make no difference:
every slot is as large as the largest one.

A pod that is being emptied keeps what it has, for the requests that still reach it, but counts for nothing and gets
nothing more: an adapter of k pods is on another one before the emptied pod goes.

Adapters come in the order of their age, and who came later gives way. A place is only given up when the pod is gone,
the number shrinks or an older adapter for all pods needs the slot: no load or demand moves an adapter, so nothing can
swing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Wish:
    """An adapter that wants places."""

    name: str
    replicas: int | None
    """None: on all pods."""
    before: frozenset[str] = frozenset()
    """Pods where it was placed last."""
    answering: frozenset[str] = frozenset()
    """Those of them whose clients get it: of a pod that returns to the Service and the one that was to replace it, the
    one that has loaded it keeps it."""
    demand: float = 0.0
    """Its requests that run in the whole fleet."""


@dataclass(frozen=True)
class Pod:
    """A pod that can take adapters."""

    name: str
    ready: bool = True
    """It answers clients and the operator: whether a silent one is idle, and when it loads what, nobody knows."""
    leaving: bool = False
    """New connections go to others; it is to be deleted when it is empty."""


def place(wishes: Sequence[Wish], pods: Sequence[Pod], slots: int) -> Mapping[str, frozenset[str]]:
    """The names of the pods of each adapter, as many as there is room for; `wishes` are in the order of who goes first.

    A pod that is not ready is taken where no other has a slot.
    """
    names, ready = [pod.name for pod in pods if not pod.leaving], {pod.name: pod.ready for pod in pods}
    everywhere = [wish.name for wish in wishes if wish.replicas is None][:slots]
    used = dict.fromkeys(ready, len(everywhere))
    chosen: dict[str, set[str]] = {wish.name: set(ready) if wish.name in everywhere else set() for wish in wishes}
    brought = dict.fromkeys(names, 0.0)
    some = [wish for wish in wishes if wish.replicas is not None]

    def take(wish: Wish, among: Sequence[str]) -> None:
        def order(name: str) -> tuple[bool, bool, float, int, str]:
            return name not in wish.answering, not ready[name], brought[name], used[name], name

        number = min(wish.replicas or 0, len(names))
        for pod in sorted(among, key=order):
            if len(chosen[wish.name]) < number and used[pod] < slots:
                chosen[wish.name].add(pod)
                used[pod] += 1
                brought[pod] += wish.demand / number

    for wish in some:  # all of them keep what they have before anybody gets more
        take(wish, [name for name in names if name in wish.before])
    for wish in some:
        take(wish, [name for name in names if name not in chosen[wish.name]])
    for pod in pods:
        stays = [wish.name for wish in some if pod.leaving and pod.name in wish.before]
        for name in stays[: slots - used[pod.name]]:
            chosen[name].add(pod.name)
    return {name: frozenset(places) for name, places in chosen.items()}


def refused(wishes: Sequence[Wish], slots: int) -> frozenset[str]:
    """Adapters for all pods that no pod has a slot for."""
    return frozenset([wish.name for wish in wishes if wish.replicas is None][slots:])
