"""Which pods go when there are too many, and when: the one with least to lose, and not before it is empty.

    surplus  = replicas asked for - replicas wanted; none during a rollout
    at once  = replicas of the surplus without a ready pod: the ReplicaSet takes those first, and nobody is in them
    the rest = as many ready pods are emptied: label traffic=false takes them out of the Service, their guards move the
               clients that keep connections
    gone     = those of them that are empty and are not the only ones that answer to an adapter which is to come to
               another pod, or have had spec.drain.timeout; they get the lowest deletion cost, and the replicas shrink
               by as many in the same pass

What is lost with a pod: its requests, then its prefix cache, then the adapters that another pod would have to load.

Who is being emptied stands in the pods' labels, so that any operator at any time goes on where another one stopped. A
pod that is emptied and no longer superfluous (load came back, another pod went, a rollout began) is put back.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from slmfleet.core.build.guard import config_map_of
from slmfleet.core.names import DRAINING_SINCE, TRAFFIC
from slmfleet.core.pod_status import is_ending, is_finished, is_ready
from slmfleet.core.types import GuardOrder, Manifest, PodPatch, Ref

from .advice import PodLoad

QUIET_SECONDS: Final = 5.0
"""For so long at least a pod is out of the Service before it counts as empty: until every node's proxy knows."""
CACHE_TOKENS: Final = 10_000.0
"""Prompt tokens. Prefix caches that differ by less are worth the same, and adapters decide: an 8B model on an A100
computes so many again in 0.7 s (engine/steptime.json)."""
DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
FIRST_TO_GO: Final = "-1000"


@dataclass(frozen=True)
class Shrink:
    """What follows for the Deployment and the pods."""

    replicas: int
    patches: tuple[PodPatch, ...] = ()
    orders: tuple[GuardOrder, ...] = ()
    draining: int = 0
    """Pods that are being emptied."""


@dataclass(frozen=True)
class Spread:
    """Where an adapter of a number of pods is, by the pods' names."""

    replicas: int
    """How many pods should have it."""
    answering: frozenset[str]
    """Pods whose clients get it, those that are being emptied too."""
    chosen: frozenset[str]
    """Pods that stay and are to have it, loaded or not."""


@dataclass(frozen=True)
class Heard:
    """What engines and guards have said last."""

    loads: Mapping[str, PodLoad] = field(default_factory=dict)
    """By the pod's uid; who is missing could not be read."""
    told: Mapping[str, bool] = field(default_factory=dict)
    """By the pod's uid: what its guard has confirmed, to drain (True) or to go on (False)."""
    spreads: Collection[Spread] = ()
    """Of the adapters that are on a number of pods."""


@dataclass(frozen=True)
class Standing:
    """A pod that has not begun to end."""

    ref: Ref
    address: str
    ready: bool
    guarded: bool
    traffic: bool
    since: float | None
    """When it was taken out of the Service; None for one that never was, or is wholly back."""
    cost: str

    @classmethod
    def of(cls, pod: Manifest) -> "Standing":
        """Read from the pod."""
        metadata, status = pod["metadata"], pod.get("status", {})
        labels = metadata.get("labels", {})
        since = labels.get(DRAINING_SINCE, "")
        return cls(
            ref=Ref("v1", "Pod", metadata["name"], metadata.get("uid", "")),
            address=status.get("podIP", ""),
            ready=is_ready(pod),
            guarded=config_map_of(pod) is not None,
            traffic=labels.get(TRAFFIC) != "false",
            since=float(since) if since.isdecimal() else None,
            cost=metadata.get("annotations", {}).get(DELETION_COST, ""),
        )


def standing(pods: Iterable[Manifest]) -> list[Standing]:
    """The pods that count: none that ends or has ended."""
    return [Standing.of(pod) for pod in pods if not is_ending(pod) and not is_finished(pod)]


def shrink(
    fleet: Sequence[Standing],
    *,
    current: int,
    wanted: int,
    rolling_out: bool,
    timeout: float,
    heard: Heard,
    now: float,
) -> Shrink:
    """From `current` replicas towards `wanted`; times in seconds since 1970."""
    surplus = 0 if rolling_out else max(0, current - wanted)
    ready = [pod for pod in fleet if pod.ready]
    at_once = min(surplus, max(0, current - len(ready)))
    victims = list(_victims(ready, surplus - at_once, heard))
    needed = _only_ones(fleet, heard.spreads)
    gone = [
        pod
        for pod in victims
        if _out_for(pod, timeout, now) or (pod.ref.name not in needed and _empty(pod, heard.loads, now))
    ]
    # While there are more pods than replicas the ReplicaSet is about to take one, most likely the one that is empty.
    staying = [pod for pod in fleet if pod not in victims] if len(fleet) <= current else []
    changes = [_leaving(pod, now, last=pod in gone) for pod in victims] + [_staying(pod, heard.told) for pod in staying]
    orders = [_order(pod, heard.told, drain=True) for pod in victims]
    orders += [_order(pod, heard.told, drain=False) for pod in staying]
    return Shrink(
        replicas=max(current - at_once - len(gone), wanted) if surplus else max(current, wanted),
        patches=tuple(patch for patch in changes if patch is not None),
        orders=tuple(order for order in orders if order is not None),
        draining=len(victims),
    )


def put_back(fleet: Sequence[Standing], told: Mapping[str, bool]) -> Shrink:
    """Nobody decides by load any more: every pod takes part again. `replicas` says nothing."""
    patches = [_staying(pod, told) for pod in fleet]
    orders = [_order(pod, told, drain=False) for pod in fleet]
    return Shrink(0, tuple(p for p in patches if p is not None), tuple(o for o in orders if o is not None))


def _victims(ready: Sequence[Standing], number: int, heard: Heard) -> Iterator[Standing]:
    """One after the other: what went with one pod is not there for the next."""
    rest = list(ready)
    for _ in range(number):
        moves = _moves({pod.ref.name for pod in rest}, heard.spreads)
        victim = min(rest, key=lambda pod: _loss(pod, heard.loads, moves))
        rest.remove(victim)
        yield victim


def _moves(pods: set[str], spreads: Collection[Spread]) -> Counter[str]:
    """By pod: adapters that another one of `pods` would have to load if it went, for as many to have them as should."""
    here = ((spread.replicas, spread.answering & pods) for spread in spreads)
    return Counter(name for replicas, names in here if len(names) <= min(replicas, len(pods) - 1) for name in names)


def _loss(
    pod: Standing, loads: Mapping[str, PodLoad], moves: Mapping[str, int]
) -> tuple[bool, float, float, int, float, str]:
    """What would be lost with a pod: who is on the way out already goes first, who cannot be read comes last."""
    load = loads.get(pod.ref.uid)
    requests, cached, steps = inf, inf, inf
    if load is not None:
        requests, cached, steps = load.requests, load.cached_prompt_tokens, load.cached_prompt_tokens // CACHE_TOKENS
    return pod.traffic, requests, steps, moves.get(pod.ref.name, 0), cached, pod.ref.name


def _only_ones(fleet: Iterable[Standing], spreads: Iterable[Spread]) -> frozenset[str]:
    """The pods that answer to an adapter while none in the Service does, and another one is chosen for it."""
    staying = frozenset(pod.ref.name for pod in fleet if pod.traffic)
    alone = [spread.answering for spread in spreads if spread.chosen and not spread.answering & staying]
    return frozenset[str]().union(*alone)


def _out_for(pod: Standing, seconds: float, now: float) -> bool:
    """Whether it has been out of the Service for so long."""
    return not pod.traffic and pod.since is not None and now - pod.since >= seconds


def _empty(pod: Standing, loads: Mapping[str, PodLoad], now: float) -> bool:
    load = loads.get(pod.ref.uid)
    return _out_for(pod, QUIET_SECONDS, now) and load is not None and load.requests == 0


def _leaving(pod: Standing, now: float, *, last: bool) -> PodPatch | None:
    since = now if pod.since is None or pod.traffic else pod.since
    cost = FIRST_TO_GO if last else ""
    if not pod.traffic and pod.since is not None and pod.cost == cost:
        return None
    labels = {TRAFFIC: "false", DRAINING_SINCE: f"{since:.0f}"}
    return PodPatch(pod.ref, labels, {DELETION_COST: cost} if cost else {})


def _staying(pod: Standing, told: Mapping[str, bool]) -> PodPatch | None:
    """Back into the Service at once; the time stays until the guard has confirmed, lest an operator's end hides it."""
    if pod.since is None:  # not taken out by us: a person's quarantine is left alone
        return None
    if not pod.guarded or told.get(pod.ref.uid) is False:
        return PodPatch(pod.ref, {TRAFFIC: "true"})
    return None if pod.traffic else PodPatch(pod.ref, {TRAFFIC: "true", DRAINING_SINCE: f"{pod.since:.0f}"})


def _order(pod: Standing, told: Mapping[str, bool], *, drain: bool) -> GuardOrder | None:
    concerned = pod.guarded and pod.address and (not pod.traffic if drain else pod.since is not None)
    if not concerned or told.get(pod.ref.uid) is drain:
        return None
    return GuardOrder(pod.ref.uid, pod.address, drain)
