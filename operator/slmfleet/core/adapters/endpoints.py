"""Which pods the adapters' own Services select, by labels that are on a pod for as long as it serves an adapter.

An adapter that goes from a pod leaves the Service first: its label becomes the time, which no Service selects, and it
stays in the pod's table until every node's proxy knows. As the time is in the label, any operator goes on from there.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from slmfleet.core.autoscale.drain import QUIET_SECONDS
from slmfleet.core.build.adapter_service import adapter_label
from slmfleet.core.pod_status import is_ending
from slmfleet.core.types import Manifest, PodPatch, Ref

from .status import Situation

_SELECTED: Final = "true"
_PREFIX: Final = adapter_label("")


@dataclass(frozen=True)
class Endpoints:
    """What follows for the pods."""

    patches: tuple[PodPatch, ...] = ()
    leaving: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Pod -> adapters that are to go from it, and that requests may still come for."""
    requeue_after: float | None = None


def endpoints(pods: Sequence[Manifest], situations: Mapping[str, Situation], now: datetime) -> Endpoints:
    """The labels where they are not as they should be, and who may not go yet."""
    own = {name: s for name, s in situations.items() if s.adapter.spec.endpoint.service}
    chosen: dict[str, set[str]] = defaultdict(set)
    wanted: dict[str, dict[str, str]] = defaultdict(dict)
    for name, s in own.items():
        for seat in s.seats:
            chosen[seat.name].add(name)
            wanted[seat.name] |= {adapter_label(name): _SELECTED} if s.serving(seat) is not None else {}
    patches, leaving, waits = [], defaultdict(list), []
    for pod in pods:
        if is_ending(pod):
            continue  # while no other pod is ready, nodes still send requests to it
        metadata = pod["metadata"]
        worn = {key: value for key, value in (metadata.get("labels") or {}).items() if key.startswith(_PREFIX)}
        for key, value in worn.items():
            name = key.removeprefix(_PREFIX)
            since = int(value) if value.isdecimal() else int(now.timestamp())
            left = since + QUIET_SECONDS - now.timestamp()
            if name in own and name not in chosen[metadata["name"]] and left > 0:
                wanted[metadata["name"]][key] = str(since)
                leaving[metadata["name"]].append(name)
                waits.append(left)
        if worn != wanted[metadata["name"]]:
            ref = Ref("v1", "Pod", metadata["name"], metadata["uid"])
            patches.append(PodPatch(ref, wanted[metadata["name"]], about="adapters"))
    return Endpoints(tuple(patches), leaving, min(waits, default=None))
