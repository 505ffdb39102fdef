"""Random changes and faults for SLMFLEET_SOAK_MINUTES (default 10), from SLMFLEET_SOAK_SEED (default 1)."""

import logging
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from e2e.harness.installation import Installation
from e2e.harness.namespace import Namespace

from .faults import Faults, keep_on

MINUTES = float(os.environ.get("SLMFLEET_SOAK_MINUTES", "10"))
SEED = int(os.environ.get("SLMFLEET_SOAK_SEED", "1"))
FLEETS = ("alpha", "bravo", "charlie", "delta")
GROWTH_BYTES = 48 * 1024 * 1024
"""An operator that keeps what it no longer needs shows it: everything here fits in a few megabytes."""

MANIFEST = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata: {{name: {name}}}
spec:
  model: {{uri: "image:///models/tiny"}}
  engine: {{version: 0.32.0, image: $simulator, maxModelLen: {length}}}
  accelerator: {{class: cpu}}
  replicas: {replicas}
  drain: {{timeout: 2s}}
  pod: {{resources: {{requests: {{cpu: 20m, memory: 64Mi}}}}}}
"""

logger = logging.getLogger(__name__)


@dataclass
class Soak:
    """The changes that a user, a careless colleague and a failing machine make."""

    chat: Namespace
    faults: Faults
    rng: random.Random
    wanted: dict[str, int] = field(default_factory=dict)
    """Replicas by fleet."""

    def step(self) -> None:
        """One random change."""
        actions: list[Callable[[str], None]] = [self.apply, self.apply, self.scale, self.scale, self.delete]
        actions += [self.delete_child, self.edit_child, self.kill_pods, self.kill_leader]
        action, name = self.rng.choice(actions), self.rng.choice(FLEETS)
        if name not in self.wanted:
            action = self.apply
        logger.info("%s %s", action.__name__, name)
        action(name)

    def apply(self, name: str) -> None:
        """Create it, or change its template and replicas."""
        self.wanted[name] = self.rng.randint(0, 2)
        length = self.rng.choice([1024, 2048])
        self.chat.apply(MANIFEST.format(name=name, replicas=self.wanted[name], length=length))

    def scale(self, name: str) -> None:
        """As an HPA does."""
        self.wanted[name] = self.rng.randint(0, 2)
        self.chat.kubectl("scale", "slm", name, f"--replicas={self.wanted[name]}")

    def delete(self, name: str) -> None:
        """Delete it; its pods go on ending for a while."""
        del self.wanted[name]
        self.chat.kubectl("delete", "slm", name, "--wait=false")

    def delete_child(self, name: str) -> None:
        """A colleague cleans up."""
        kind = self.rng.choice(["deployment", "service", "poddisruptionbudget", "serviceaccount"])
        child = f"{name}-engine" if kind == "serviceaccount" else name
        self.chat.kubectl("delete", kind, child, "--ignore-not-found", "--wait=false")

    def edit_child(self, name: str) -> None:
        """A colleague helps out."""
        if self.chat.find("deployment", name) is not None:
            self.chat.kubectl(
                "patch", "deployment", name, "--type=merge", "-p", '{"spec":{"minReadySeconds":3,"replicas":2}}'
            )

    def kill_pods(self, name: str) -> None:
        """A node loses engines."""
        self.faults.kill_pods("-l", f"slmfleet.dev/deployment={name}")

    def kill_leader(self, _: str) -> None:
        """A node loses the operator."""
        self.faults.kill_leader()


@pytest.mark.soak
def test_after_random_changes_and_faults_every_fleet_is_what_its_spec_says(
    chat: Namespace, operator: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger.name)
    faults = Faults(chat, operator)
    soak = Soak(chat, faults, random.Random(SEED))
    keep_on(soak.step, MINUTES * 60)

    faults.over()
    for name, replicas in soak.wanted.items():
        chat.becomes(name, "Ready", "Ready" if replicas else "ScaledToZero", within=180)
        _has_pods(chat, name, replicas)
        assert chat.get("deployment", name)["spec"]["replicas"] == replicas
    for kind in ("deployment", "service", "serviceaccount", "poddisruptionbudget"):
        # The last change may be one that the operator is just repairing.
        chat.eventually(partial(_each_has, chat, kind, set(soak.wanted)), f"every fleet has its {kind}, and no other")
    assert faults.bugs() == []


def _each_has(chat: Namespace, kind: str, fleets: set[str]) -> bool:
    children = chat.objects(kind, "app.kubernetes.io/managed-by=slmfleet")
    return {child["metadata"]["labels"]["slmfleet.dev/deployment"] for child in children} == fleets


def _has_pods(chat: Namespace, name: str, replicas: int) -> None:
    chat.eventually(lambda: len(chat.pods(name)) == replicas, f"{name} has {replicas} pods", within=60)


@pytest.mark.soak
def test_the_operators_memory_does_not_grow_with_changes(chat: Namespace, operator: Installation) -> None:
    leader = operator.leader()

    def resident() -> float:
        (value,) = operator.metric(leader, "process_resident_memory_bytes").values()
        return value

    def churn(rounds: int) -> None:
        for number in range(rounds):
            names = [f"churn-{number}-{i}" for i in range(4)]
            chat.apply("---".join(MANIFEST.format(name=name, replicas=0, length=1024) for name in names))
            for name in names:
                chat.becomes(name, "Ready", "ScaledToZero")
            chat.kubectl("delete", "slm", *names)

    churn(5)
    before = resident()
    churn(25)
    assert operator.leader() == leader
    assert resident() - before < GROWTH_BYTES
