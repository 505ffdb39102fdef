"""Between which numbers the replicas may move, and what says so."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from slmfleet.api.conditions import Reason
from slmfleet.api.quantities import seconds
from slmfleet.api.scaling import Scaling
from slmfleet.core.pods import PodFacts
from slmfleet.core.problems import pod_refusal
from slmfleet.core.types import Manifest

from .decision import Bound
from .schedules import Schedule, floor_at

NODE_SECONDS: Final = 60.0
"""How long a pod may wait for a node before no more of them are asked for: an autoscaler of nodes may be at work."""


def first_replicas(floor: Bound) -> int:
    """What a fleet starts with: one at least, so that whoever made it sees whether it starts."""
    return max(1, floor.replicas)


def floor(scaling: Scaling, now: datetime) -> Bound:
    """The least replicas: minReplicas, or those of the windows that are open."""
    least = Bound(scaling.min_replicas, "spec.scaling.minReplicas")
    window = floor_at(schedules(scaling), now)
    return window if window is not None and window.replicas > least.replicas else least


def schedules(scaling: Scaling) -> list[Schedule]:
    """The windows of the spec."""
    return [
        Schedule(window.name, window.start, seconds(window.duration), window.time_zone, window.min_replicas)
        for window in scaling.schedules or ()
    ]


def ceiling(scaling: Scaling, pods: Iterable[PodFacts], deployment: Manifest | None) -> Bound:
    """The most replicas: what the spec allows, else one more than the cluster has room for.

    The one more stays as the sign that there is no room, and takes it as soon as there is.
    """
    most = Bound(scaling.max_replicas, "spec.scaling.maxReplicas", Reason.AT_MAXIMUM)
    alive = [pod for pod in pods if not pod.deleting and not pod.finished]
    if refusal := pod_refusal(deployment):
        room = Bound(len(alive) + 1, refusal, Reason.QUOTA)
        most = min(most, room, key=lambda bound: bound.replicas)
    homeless = [pod for pod in alive if pod.unschedulable and pod.unschedulable_seconds >= NODE_SECONDS]
    if homeless:
        why = f"pod {homeless[0].name}: {homeless[0].unschedulable}"
        room = Bound(len(alive) - len(homeless) + 1, why, Reason.UNSCHEDULABLE)
        most = min(most, room, key=lambda bound: bound.replicas)
    return most
