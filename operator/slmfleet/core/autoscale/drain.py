"""Which pods go when there are too many, and when: the one with least to lose, and not before it is empty.

    surplus  = replicas asked for - replicas wanted; none during a rollout
    at once  = replicas of the surplus without a ready pod: the ReplicaSet takes those first, and nobody is in them
    the rest = as many ready pods are emptied: label traffic=false takes them out of the Service, their guards move the
               clients that keep connections
    gone     = those of them that are empty, or have had spec.drain.timeout; they get the lowest deletion cost, and the
               replicas shrink by as many in the same pass

Who is being emptied stands in the pods' labels, so that any operator at any time goes on where another one stopped. A
pod that is emptied and no longer superfluous (load came back, another pod went, a rollout began) is put back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from slmfleet.core.build.guard import config_map_of
from slmfleet.core.names import DRAINING_SINCE, TRAFFIC
from slmfleet.core.pod_status import is_ending, is_finished, is_ready
from slmfleet.core.types import GuardOrder, Manifest, PodPatch, Ref

from .advice import PodLoad

QUIET_SECONDS: Final = 5.0
"""For so long at least a pod is out of the Service before it counts as empty: until every node's proxy knows."""
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
    loads: Mapping[str, PodLoad],
    told: Mapping[str, bool],
    now: float,
) -> Shrink:
    """From `current` replicas towards `wanted`; times in seconds since 1970."""
    surplus = 0 if rolling_out else max(0, current - wanted)
    ready = [pod for pod in fleet if pod.ready]
    at_once = min(surplus, max(0, current - len(ready)))
    victims = sorted(ready, key=lambda pod: _loss(pod, loads))[: surplus - at_once]
    gone = [pod for pod in victims if _empty(pod, loads.get(pod.ref.uid), now, timeout)]
    # While there are more pods than replicas the ReplicaSet is about to take one, most likely the one that is empty.
    staying = [pod for pod in fleet if pod not in victims] if len(fleet) <= current else []
    changes = [_leaving(pod, now, last=pod in gone) for pod in victims] + [_staying(pod, told) for pod in staying]
    orders = [_order(pod, told, drain=True) for pod in victims] + [_order(pod, told, drain=False) for pod in staying]
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


def _loss(pod: Standing, loads: Mapping[str, PodLoad]) -> tuple[bool, float, float, str]:
    """What would be lost with a pod: who is on the way out already goes first, who cannot be read comes last."""
    load = loads.get(pod.ref.uid)
    requests, cached = (inf, inf) if load is None else (load.requests, load.cached_prompt_tokens)
    return pod.traffic, requests, cached, pod.ref.name


def _empty(pod: Standing, load: PodLoad | None, now: float, timeout: float) -> bool:
    if pod.traffic or pod.since is None:
        return False
    waited = now - pod.since
    return waited >= timeout or (waited >= QUIET_SECONDS and load is not None and load.requests == 0)


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
