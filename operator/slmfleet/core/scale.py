"""How many replicas the Deployment gets in this pass, and what that means for the pods."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from slmfleet.api.quantities import seconds
from slmfleet.api.slmdeployment import SLMDeploymentSpec

from .autoscale.bounds import first_replicas, floor
from .autoscale.drain import Standing, put_back, shrink, standing
from .names import REVISION
from .pod_status import is_ending
from .types import Event, GuardOrder, Manifest, Observed, PodPatch, Ref

DRAIN_LOOK_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Scaled:
    """The number, and what goes with it."""

    replicas: int
    patches: tuple[PodPatch, ...] = ()
    orders: tuple[GuardOrder, ...] = ()
    delete: tuple[Ref, ...] = ()
    """Pods that hang."""
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None


def scale(
    observed: Observed, spec: SLMDeploymentSpec, deployment: Manifest | None, revision: str, now: datetime
) -> Scaled:
    """What spec.replicas says, or the last decision; without one the Deployment keeps its number."""
    fleet = standing(observed.pods)
    if spec.scaling is None or not spec.scales:
        back = put_back(fleet, observed.told)
        return Scaled(
            spec.replicas, back.patches, back.orders, requeue_after=DRAIN_LOOK_SECONDS if back.orders else None
        )
    current = None if deployment is None else deployment["spec"].get("replicas")
    advice = observed.advice
    if current is None:
        return Scaled(first_replicas(floor(spec.scaling, now)) if advice is None else advice.decision.desired)
    rolls = rolling_out(deployment, revision)
    shrunk = shrink(
        fleet,
        current=current,
        wanted=current if advice is None else advice.decision.desired,
        rolling_out=rolls,
        timeout=seconds(spec.drain.timeout),
        loads={} if advice is None else advice.loads,
        told=observed.told,
        now=now.timestamp(),
    )
    hung = () if advice is None or rolls else _hung(fleet, observed.pods, advice.hung)
    return Scaled(
        shrunk.replicas,
        shrunk.patches,
        shrunk.orders,
        delete=tuple(pod.ref for pod in hung),
        events=tuple(_replaced(pod) for pod in hung),
        requeue_after=DRAIN_LOOK_SECONDS if shrunk.draining or shrunk.orders else None,
    )


def rolling_out(deployment: Manifest | None, revision: str) -> bool:
    """Whether pods of another template are being replaced, or are about to be."""
    if deployment is None:
        return False
    status = deployment.get("status", {})
    if deployment["metadata"].get("labels", {}).get(REVISION) != revision:
        return True
    return bool(status.get("updatedReplicas", 0) < status.get("replicas", 0))


def _hung(fleet: list[Standing], pods: Iterable[Manifest], hung: frozenset[str]) -> list[Standing]:
    """The one that is replaced: none while another pod ends or starts, so that a fault of all never ends all."""
    if any(is_ending(pod) for pod in pods) or not all(pod.ready for pod in fleet):
        return []
    return [pod for pod in fleet if pod.ref.uid in hung and pod.traffic][:1]


def _replaced(pod: Standing) -> Event:
    note = (
        f"pod {pod.ref.name} has requests and makes no tokens, while its health check says that all is well: it is "
        "replaced"
    )
    return Event("Warning", "EngineHung", "Replace", note)
