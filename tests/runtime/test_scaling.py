"""The scaling loop: what it shows the scaler, when it has news, and that fleets do not meet."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.autoscale.advice import PodLoad
from slmfleet.core.autoscale.decision import Bound, Decision, Situation
from slmfleet.core.autoscale.report import REFRESH_SECONDS
from slmfleet.core.autoscale.settings import Learned, Settings
from slmfleet.core.autoscale.signals import Signals
from slmfleet.core.autoscale.spec import learned_of, settings_of
from slmfleet.core.types import Manifest
from slmfleet.engine.steptime import StepTime
from slmfleet.kube.cache import Cache, Selection
from slmfleet.kube.resources import CHILDREN, Key
from slmfleet.runtime.cold_starts import ColdStarts
from slmfleet.runtime.objects import Objects
from slmfleet.runtime.scaling import NO_GAP, WAKE_SECONDS, Scaling
from slmfleet.runtime.scaling import World as Cluster
from slmfleet.runtime.scraping import FAST_SECONDS, NORMAL_SECONDS, FleetLook
from tests.core import make
from tests.kube.fake import FakeClient

pytestmark = pytest.mark.looptime

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY = ("chat", "support")
ZERO = {
    name: 0.0
    for name in Signals.__dataclass_fields__
    if name not in ("at", "seconds", "ready", "reporting", "pending", "gateway")
}


def signals(at: float, **more: Any) -> Signals:
    known = {"seconds": 1.0, "ready": 1, "reporting": 1, "pending": 0, "gateway": None}
    return Signals(at=at, **(ZERO | known | more))


def look(
    loads: Mapping[str, PodLoad] | None = None, missing: Mapping[str, str] | None = None, **more: Any
) -> FleetLook:
    return FleetLook(signals(0, **more), loads or {}, frozenset(), missing or {})


@dataclass
class FakeScaler:
    """Decides what the test says, and remembers what it was shown."""

    settings: Settings
    before: Learned | None
    desired: int = 1
    reason: str = "work"
    bound: Bound | None = None
    looks: list[Signals] = field(default_factory=list)
    situations: list[Situation] = field(default_factory=list)
    fails: bool = False

    def look(self, signals: Signals) -> None:
        self.looks.append(signals)

    def decide(self, situation: Situation) -> Decision:
        if self.fails:
            raise ZeroDivisionError
        self.situations.append(situation)
        return Decision(self.desired, self.reason, f"{len(self.situations)} decisions", (), self.bound)

    def learned(self) -> Learned:
        return replace(self.before or Learned(), capacity=0.5)


@dataclass
class World:
    fleets: list[Manifest] = field(default_factory=list)
    woken: list[Key] = field(default_factory=list)
    scalers: list[FakeScaler] = field(default_factory=list)
    sights: dict[Key, FleetLook] = field(default_factory=dict)
    failures: int = 0

    def __post_init__(self) -> None:
        client = FakeClient()
        selection = Selection("app.kubernetes.io/managed-by=slmfleet", "slmfleet.dev/deployment")
        self.cache = Cache(client, CHILDREN, selection, on_change=lambda _: None, rng=Random(1), sweep=600)
        self.objects = Objects(client, (), on_change=lambda _: None, on_adapter=lambda *_: None, rng=Random(1))
        self.loop = Scaling(
            Cluster(self.objects, self.cache, ColdStarts(), lambda: NOW),
            self.make,
            settle=240,
            enqueue=self.woken.append,
            failed=self.fail,
        )
        self.followed: set[Key] = set()
        for fleet in self.fleets or [slm()]:
            self.put(fleet)

    def put(self, fleet: Manifest, replicas: int = 2, *pods: Manifest) -> None:
        self.objects.slms.put(fleet)
        name = fleet["metadata"]["name"]
        self.cache.put(child("Deployment", name, {"spec": {"replicas": replicas}}))
        for pod in pods:
            self.cache.put(pod)
        self.sights["chat", name] = look()

    def make(self, settings: Settings, learned: Learned | None) -> FakeScaler:
        self.scalers.append(FakeScaler(settings, learned))
        return self.scalers[-1]

    def fail(self) -> None:
        self.failures += 1

    async def steps(self, seconds: int = 1) -> None:
        """A look at every fleet each second, as the scraping loop makes them."""
        for _ in range(seconds):
            self.followed.clear()
            self.loop.find(self.followed.add)
            for key in sorted(self.followed):
                if self.loop.watched(key) is not None and key in self.sights:
                    with suppress(ZeroDivisionError):
                        self.loop.on_look(key, self.sights[key])
            await asyncio.sleep(1)


VERSION = iter(range(1, 10_000))


def stamped(obj: Manifest) -> Manifest:
    return obj | {"metadata": obj["metadata"] | {"resourceVersion": str(next(VERSION))}}


def slm(name: str = "support", generation: int = 1, status: Manifest | None = None, **scaling: Any) -> Manifest:
    made = make.slm(scaling={"minReplicas": 1, "maxReplicas": 8} | scaling)
    metadata = made["metadata"] | {"name": name, "uid": f"{name}-uid", "generation": generation}
    return stamped(made | {"metadata": metadata, "status": status or {}})


def child(kind: str, name: str, more: Manifest, **labels: str) -> Manifest:
    mine = {"app.kubernetes.io/managed-by": "slmfleet", "slmfleet.dev/deployment": name.partition("-")[0]}
    metadata = {"name": name, "namespace": "chat", "uid": f"{name}-uid", "labels": mine | labels}
    version = "v1" if kind == "Pod" else "apps/v1"
    return stamped({"apiVersion": version, "kind": kind, "metadata": metadata, **more})


async def test_each_look_is_shown_and_decided_about() -> None:
    w = World()
    await w.steps(3)
    (scaler,) = w.scalers
    assert len(scaler.looks) == 3
    assert [situation.now for situation in scaler.situations] == [0, 1, 2]


async def test_a_look_is_told_what_it_needs_and_comes_sooner_when_seconds_matter() -> None:
    w = World([slm(objectives={"ttftP95": "500ms"})])
    w.cache.put(child("Pod", "support-1", {}, **{"slmfleet.dev/traffic": "true"}))
    calm = w.loop.watched(KEY)
    assert calm is not None
    assert (str(calm.release), len(calm.pods), calm.objectives) == ("0.32.0", 1, (0.5, NO_GAP))
    assert calm.period == NORMAL_SECONDS
    w.sights[KEY] = look(waiting=1.0)
    await w.steps()
    busy = w.loop.watched(KEY)
    assert busy is not None
    assert busy.period == FAST_SECONDS


async def test_a_decision_with_news_is_enqueued_at_once_and_others_once_a_minute() -> None:
    w = World()
    await w.steps(10)
    assert w.woken == [KEY]
    w.scalers[0].desired = 3
    await w.steps(2)
    assert w.woken == [KEY] * 2
    w.scalers[0].bound = Bound(3, "no pod can be created: quota", "Quota")
    await w.steps(2)
    assert w.woken == [KEY] * 3
    await w.steps(int(REFRESH_SECONDS))
    assert w.woken == [KEY] * 4


async def test_the_advice_has_the_loads_and_what_was_learned() -> None:
    w = World()
    seen = look({"u": PodLoad(1, 2)}, {"support-1": "no page within 1 s"}, ready=3, reporting=2)
    w.sights[KEY] = replace(seen, hung=frozenset({"h"}))
    await w.steps()
    advice = w.loop.advice(KEY)
    assert advice is not None
    assert (advice.decision.desired, advice.loads, set(advice.hung)) == (1, {"u": PodLoad(1, 2)}, {"h"})
    assert advice.missing == "1 of 3 engines cannot be read, pod support-1: no page within 1 s"
    assert advice.learned["capacity"] == 0.5


async def test_replicas_that_are_being_emptied_are_asked_for_no_longer() -> None:
    leaving = child("Pod", "support-1", {}, **{"slmfleet.dev/traffic": "false", "slmfleet.dev/draining-since": "5"})
    w = World()
    w.put(slm(generation=2), 3, leaving)
    await w.steps()
    assert w.scalers[0].situations[0].current == 2


async def test_one_broken_fleet_delays_no_other() -> None:
    w = World([slm("broken"), slm("support")])
    await w.steps()
    w.scalers[0].fails = True
    await w.steps(2)
    assert w.failures == 2
    assert len(w.scalers[1].situations) == 3
    assert w.loop.advice(("chat", "broken")) is not None


async def test_a_fleet_without_scaling_or_with_a_broken_spec_or_unseen_is_left_alone() -> None:
    plain = stamped(make.slm() | {"metadata": {"name": "plain", "namespace": "chat", "uid": "p"}})
    w = World([plain, slm("typo", maxReplicas="many"), slm("unseen")])
    del w.sights["chat", "unseen"]
    await w.steps(3)
    assert (w.woken, w.loop.decisions(), w.failures) == ([], {}, 0)


async def test_a_changed_spec_goes_on_with_what_was_learned() -> None:
    w = World()
    await w.steps()
    w.objects.slms.put(slm(generation=2, maxReplicas=9))  # what the scaler is made with stays the same
    await w.steps(2)
    assert len(w.scalers) == 1
    assert w.scalers[0].situations[-1].ceiling.replicas == 9
    w.objects.slms.put(slm(generation=3, targets={"queueDepth": 4}))
    await w.steps(2)
    assert w.scalers[1].settings.queue_depth == 4
    assert w.scalers[1].before == Learned(capacity=0.5)


async def test_a_restarted_operator_starts_with_what_the_status_has() -> None:
    learned = {"capacity": 0.7, "outputTokens": 120, "of a newer release": 1, "speed": "fast"}
    w = World([slm(status={"scaling": {"learned": learned}})])
    await w.steps()
    assert w.scalers[0].before == Learned(capacity=0.7, output_tokens=120)
    assert learned_of(slm(status={"scaling": {"learned": [1]}})) is None


async def test_a_wake_up_call_is_decided_about_at_once_and_forgotten_after_a_while() -> None:
    w = World([slm(minReplicas=0)])
    await w.steps()
    assert w.loop.wake(KEY, 7)
    assert [situation.wake for situation in w.scalers[0].situations] == [0, 7]
    await w.steps(int(WAKE_SECONDS) + 1)
    assert w.scalers[0].situations[-1].wake == 0


async def test_nobody_wakes_a_fleet_that_does_not_scale_or_does_not_exist() -> None:
    w = World([slm(mode="Shadow")])
    await w.steps()
    assert not w.loop.wake(KEY, 1)
    assert not w.loop.wake(("chat", "nobody"), 1)


async def test_a_deleted_fleet_is_forgotten() -> None:
    w = World()
    await w.steps()
    (fleet,) = w.objects.slms
    w.objects.slms.remove(fleet)
    await w.steps()
    assert w.loop.advice(KEY) is None


def test_the_users_words_become_settings() -> None:
    scaling = {
        "minReplicas": 0,
        "maxReplicas": 4,
        "objectives": {"ttftP95": "500ms", "itlP95": "2s"},
        "targets": {"queueDepth": 4, "kvCacheUtilizationPercent": 80},
        "scaleToZero": {"idleAfter": "10m"},
    }
    spec = SLMDeploymentSpec.model_validate(
        make.slm(scaling=scaling, engine={"version": "0.32.0", "maxNumSeqs": 64})["spec"]
    )
    step = StepTime(a=0.01, p=1e-4)
    assert settings_of(spec, 9, step) == Settings(0.5, 2.0, 4.0, 0.8, step, 64, settle=9, idle_after=600.0)


async def test_a_changed_accelerator_class_is_a_new_prior_and_what_was_learned_stays() -> None:
    w = World()
    await w.steps()
    (before,) = w.scalers
    changed = {
        "metadata": {"name": "nvidia-l4", "uid": "class-uid", "resourceVersion": "7"},
        "spec": {"platform": "cuda", "memory": "24Gi", "memoryBandwidthGBps": 600, "fp16Tflops": 121},
    }
    w.objects.accelerator_event("ADDED", changed)
    await w.steps()
    _, after = w.scalers
    assert before.settings.step_time is not None
    assert after.settings.step_time is not None
    assert after.settings.step_time.a < before.settings.step_time.a
    assert after.before == replace(Learned(), capacity=0.5)
