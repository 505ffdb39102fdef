"""The scaling loop: decides about every fleet that scales when its engines were read, and enqueues what has news.

It writes nothing: plan() carries the decision out. One fleet's trouble is logged and counted, and delays no other.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.autoscale.advice import Advice
from slmfleet.core.autoscale.bounds import ceiling, floor
from slmfleet.core.autoscale.decision import Decision, Situation
from slmfleet.core.autoscale.drain import standing
from slmfleet.core.autoscale.fleet import Objectives
from slmfleet.core.autoscale.prior import prior
from slmfleet.core.autoscale.report import REFRESH_SECONDS
from slmfleet.core.autoscale.settings import Learned, Settings
from slmfleet.core.autoscale.signals import Signals
from slmfleet.core.autoscale.spec import learned_of, scaling_spec, settings_of, told
from slmfleet.core.durations import start_seconds
from slmfleet.core.names import REVISION
from slmfleet.core.pods import pod_facts
from slmfleet.core.scale import rolling_out
from slmfleet.core.types import Manifest
from slmfleet.engine.version import EngineVersion
from slmfleet.kube.cache import Cache
from slmfleet.kube.resources import DEPLOYMENTS, PODS, Key, name_of, uid_of

from .cold_starts import ColdStarts
from .objects import Objects
from .scraping import FAST_SECONDS, NORMAL_SECONDS, FleetLook, Watched

FIND_SECONDS: Final = 1.0
"""Between two searches for fleets that scale."""
WAKE_SECONDS: Final = 60.0
"""How long a wake-up call counts, should the fleet not have been started by then."""
NO_GAP: Final = 1e9
"""Seconds between two tokens that nobody calls late."""

logger = logging.getLogger(__name__)


class Scaler(Protocol):
    """One fleet's memory and rule (core.autoscale.scaler)."""

    def look(self, signals: Signals) -> None:
        """Take in one look."""

    def decide(self, situation: Situation) -> Decision:
        """How many replicas there should be."""

    def learned(self) -> Learned:
        """What a restart must not lose."""


MakeScaler = Callable[[Settings, Learned | None], Scaler]


@dataclass
class _Fleet:
    """What is kept of one fleet."""

    uid: str
    version: tuple[int, str]
    """The generation of the spec, and the version of its AcceleratorClass."""
    spec: SLMDeploymentSpec
    settings: Settings
    release: EngineVersion
    scaler: Scaler
    look: FleetLook | None = None
    told: float = float("-inf")
    wake: tuple[int, float] = (0, float("-inf"))
    """Requests that wait, and when somebody said so."""
    advice: Advice | None = None


@dataclass(frozen=True)
class World:
    """What the loop knows of the cluster."""

    objects: Objects
    cache: Cache
    cold_starts: ColdStarts
    wall: Callable[[], datetime]


class Scaling:
    """The loop, and what it has decided."""

    def __init__(
        self,
        world: World,
        make: MakeScaler,
        *,
        settle: float,
        enqueue: Callable[[Key], None],
        failed: Callable[[], None],
    ) -> None:
        """`settle`: seconds in which no replica goes after a fleet was first seen; `failed` counts what went wrong."""
        self._world = world
        self._make = make
        self._settle = settle
        self._enqueue = enqueue
        self._failed = failed
        self._fleets: dict[Key, _Fleet] = {}

    async def run(self, follow: Callable[[Key], None]) -> None:
        """Have every fleet that scales followed, until cancelled."""
        while True:
            self.find(follow)
            await asyncio.sleep(FIND_SECONDS)

    def find(self, follow: Callable[[Key], None]) -> None:
        """The fleets that scale, and no others."""
        found = {name_of(slm) for slm in self._world.objects.slms if (slm.get("spec") or {}).get("scaling")}
        for key in self._fleets.keys() - found:
            del self._fleets[key]
        for key in found:
            follow(key)

    def watched(self, key: Key) -> Watched | None:
        """What a look at the fleet needs to know; None for one that is gone, does not scale or cannot be read."""
        fleet = self._fleet(key)
        if fleet is None:
            return None
        pods = self._pods(key)
        ledger = self._world.cold_starts.see(self._slm(key) or {}, pods)
        return Watched(
            release=fleet.release,
            pods=pods,
            objectives=Objectives(fleet.settings.ttft, fleet.settings.itl_objective or NO_GAP),
            expiry=ledger.expiry(float(start_seconds(fleet.spec))),
            period=FAST_SECONDS if self._busy(fleet, pods) else NORMAL_SECONDS,
        )

    def on_look(self, key: Key, look: FleetLook) -> None:
        """Take in a look and decide."""
        fleet = self._fleets.get(key)
        if fleet is None:
            return
        try:
            fleet.look = look
            fleet.scaler.look(look.signals)
            self._decide(key, fleet, look)
        except Exception:
            self._failed()
            raise  # whoever looks logs it and looks again

    def advice(self, key: Key) -> Advice | None:
        """The last word about a fleet; None while there is none."""
        fleet = self._fleets.get(key)
        return None if fleet is None else fleet.advice

    def wake(self, key: Key, requests: int) -> bool:
        """Somebody waits for this fleet with so many requests. Whether there is such a fleet, and it scales."""
        fleet = self._fleets.get(key)
        if fleet is None or not fleet.spec.scales:
            return False
        fleet.wake = (max(1, requests), _now())
        if fleet.look is not None:
            self._decide(key, fleet, fleet.look)
        return True

    def decisions(self) -> Mapping[Key, Advice]:
        """Every fleet's last decision, for metrics."""
        return {key: fleet.advice for key, fleet in self._fleets.items() if fleet.advice is not None}

    def _decide(self, key: Key, fleet: _Fleet, look: FleetLook) -> None:
        now = _now()
        situation = self._situation(key, fleet, now)
        if situation is None:
            return
        before, fleet.advice = fleet.advice, _advice(fleet.scaler, situation, look)
        # Without news the fleet is enqueued all the same once its numbers in status may be renewed.
        if now >= fleet.told + REFRESH_SECONDS or _news(before, fleet.advice):
            fleet.told = now
            self._enqueue(key)

    def _busy(self, fleet: _Fleet, pods: list[Manifest]) -> bool:
        """Whether seconds matter: requests wait, or a pod comes or goes."""
        signals = None if fleet.look is None else fleet.look.signals
        coming = signals is not None and (signals.waiting > 0 or signals.pending > 0)
        return coming or any(not pod.traffic for pod in standing(pods))

    def _fleet(self, key: Key) -> _Fleet | None:
        """What is kept of a fleet that scales; a changed spec goes on with what was learned."""
        slm = self._slm(key)
        if slm is None:
            self._fleets.pop(key, None)
            return None
        accelerator = self._world.objects.accelerator_of(slm)
        known, uid, version = self._fleets.get(key), uid_of(slm), _version(slm, accelerator)
        if known is not None and (known.uid, known.version) == (uid, version):
            return known
        spec = scaling_spec(slm)
        if spec is None:
            self._fleets.pop(key, None)
            return None
        release = EngineVersion.parse(spec.engine.version)
        settings = settings_of(spec, self._settle, prior(spec, accelerator))
        if known is None or known.uid != uid:
            known = _Fleet(uid, version, spec, settings, release, self._make(settings, learned_of(slm)))
        elif settings != known.settings:
            known.scaler = self._make(settings, known.scaler.learned())
        known.spec, known.settings, known.version, known.release = spec, settings, version, release
        self._fleets[key] = known
        return known

    def _situation(self, key: Key, fleet: _Fleet, now: float) -> Situation | None:
        """What surrounds the decision; None before there is anything to scale."""
        children, scaling = self._world.cache.children(key), fleet.spec.scaling
        deployment = next((c for c in children if c["kind"] == DEPLOYMENTS.kind and name_of(c) == key), None)
        ledger = self._world.cold_starts.known(key, fleet.uid)
        if deployment is None or scaling is None or ledger is None:
            return None
        pods, wall = self._pods(key), self._world.wall()
        leaving = sum(1 for pod in standing(pods) if not pod.traffic and pod.since is not None)
        requests, at = fleet.wake
        return Situation(
            now=now,
            # A replica that is being emptied is asked for no longer.
            current=max(0, deployment["spec"].get("replicas", 0) - leaving),
            floor=floor(scaling, wall),
            ceiling=ceiling(scaling, [pod_facts(pod, wall) for pod in pods], deployment),
            lead_p50=ledger.lead_p50,
            lead_p90=ledger.lead_p90,
            rolling_out=rolling_out(deployment, deployment["metadata"].get("labels", {}).get(REVISION, "")),
            wake=requests if now - at < WAKE_SECONDS else 0,
        )

    def _slm(self, key: Key) -> Manifest | None:
        return self._world.objects.slms.get(key)

    def _pods(self, key: Key) -> list[Manifest]:
        return [child for child in self._world.cache.children(key) if child["kind"] == PODS.kind]


def _version(slm: Manifest, accelerator: Manifest | None) -> tuple[int, str]:
    """Stays the same while neither the spec nor its AcceleratorClass changes."""
    known = "" if accelerator is None else accelerator["metadata"].get("resourceVersion", "")
    return slm["metadata"].get("generation", 0), known


def _advice(scaler: Scaler, situation: Situation, look: FleetLook) -> Advice:
    missing = ""
    if look.missing:
        name = min(look.missing)
        first = f"pod {name}: {look.missing[name]}"
        missing = f"{len(look.missing)} of {look.signals.ready} engines cannot be read, {first}"
    return Advice(scaler.decide(situation), missing, told(scaler.learned()), look.loads, look.hung)


def _news(before: Advice | None, now: Advice) -> bool:
    """Whether plan() would do or say anything else at once."""
    if before is None or now.hung or bool(before.missing) != bool(now.missing):
        return True
    one, other = before.decision, now.decision
    return (one.desired, _word(one)) != (other.desired, _word(other))


def _word(decision: Decision) -> str:
    return "" if decision.bound is None else decision.bound.reason


def _now() -> float:
    return asyncio.get_running_loop().time()
