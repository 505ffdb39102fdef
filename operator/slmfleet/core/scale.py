"""How many replicas the Deployment gets in this pass, and what that means for the pods."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from slmfleet.api.quantities import seconds
from slmfleet.api.slmdeployment import SLMDeploymentSpec

from .autoscale.bounds import first_replicas, floor
from .autoscale.drain import Heard, Spread, Standing, put_back, shrink, standing
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


def wanted_replicas(observed: Observed, spec: SLMDeploymentSpec, deployment: Manifest | None, now: datetime) -> int:
    """What spec.replicas says, or the last decision; without one the Deployment keeps its number."""
    if spec.scaling is None or not spec.scales:
        return spec.replicas
    if observed.advice is not None:
        return observed.advice.decision.desired
    current = _replicas(deployment)
    return first_replicas(floor(spec.scaling, now)) if current is None else current


def scale(
    observed: Observed,
    spec: SLMDeploymentSpec,
    deployment: Manifest | None,
    revision: str,
    wanted: int,
    spreads: Collection[Spread],
    now: datetime,
) -> Scaled:
    """The next step towards `wanted` replicas; `spreads` tell of the adapters that pods would take along."""
    fleet = standing(observed.pods)
    current, advice = _replicas(deployment), observed.advice
    if not spec.scales:
        back = put_back(fleet, observed.told)
        return Scaled(wanted, back.patches, back.orders, requeue_after=DRAIN_LOOK_SECONDS if back.orders else None)
    if current is None:
        return Scaled(wanted)
    rolls = rolling_out(deployment, revision)
    shrunk = shrink(
        fleet,
        current=current,
        wanted=wanted,
        rolling_out=rolls,
        timeout=seconds(spec.drain.timeout),
        heard=Heard({} if advice is None else advice.loads, observed.told, spreads),
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


def _replicas(deployment: Manifest | None) -> int | None:
    """What the Deployment asks for, once there is one."""
    return None if deployment is None else deployment["spec"].get("replicas")


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
