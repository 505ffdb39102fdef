"""The changes and the faults that adapters go through, and what clients may be answered meanwhile."""

import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from e2e.harness.api import Object
from e2e.harness.namespace import Namespace
from e2e.harness.openai import Endpoint
from e2e.scenarios.adapters import NAME, adapter, held, short
from slmfleet.guard.adapter_files import digest
from slmfleet.simulator.adapters import weights_name

from .faults import Faults
from .witnesses import UNKNOWN, Witnesses

REPLICAS = 3
SOME = 2
ADAPTERS = [f"tenant-{number:02}" for number in range(50)]
OF_SOME = frozenset(ADAPTERS[::5])
"""On SOME of the replicas, behind Services of their own."""
VERSIONS = ("v1", "v2")
FAULTS = 0.2
"""Of all steps."""

logger = logging.getLogger(__name__)


@dataclass
class Soak:
    """The changes that users make, and the faults of their machines."""

    chat: Namespace
    faults: Faults
    rng: random.Random
    folders: dict[str, Path]
    """By adapter and version, as `tenant-00-v1`."""
    witnesses: Witnesses
    wanted: dict[str, str] = field(default_factory=dict)
    """Folder by adapter."""
    steps: Counter[str] = field(default_factory=Counter)
    _coming: list[Callable[[str], None]] = field(default_factory=list)

    def step(self) -> None:
        """One random change or fault, after a look at what has become of the ones before."""
        self.look()
        if self.rng.random() < FAULTS and (pods := self._spare()):
            self._act(self._fault(), self.rng.choice(pods))
            return
        name = self.rng.choice(ADAPTERS)
        changes = [self.change, self.change, self.change, self.regret, self.delete]
        self._act(self.rng.choice(changes) if name in self.wanted else self.create, name)

    def _act(self, action: Callable[[str], None], on: str) -> None:
        logger.info("%s %s", action.__name__, on)
        self.steps[action.__name__] += 1
        action(on)

    def _fault(self) -> Callable[[str], None]:
        """Each kind before one comes again."""
        if not self._coming:
            self._coming = [self.drain_pod, self.kill_pod, self.crash_engine, self.kill_leader]
            self.rng.shuffle(self._coming)
        return self._coming.pop()

    def create(self, *names: str) -> None:
        """Adapters, in either version."""
        for name in names:
            self._want(name, f"{name}-{self.rng.choice(VERSIONS)}")
        manifests = [json.loads(self.manifest(name)) for name in names]
        self.chat.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))

    def change(self, name: str) -> None:
        """The other version."""
        self._want(name, f"{name}-{VERSIONS[self.wanted[name].endswith(VERSIONS[0])]}")
        self.chat.apply(self.manifest(name))

    def regret(self, name: str) -> None:
        """The other version and back again, while it is fetched, loaded or soaked."""
        self.change(name)
        time.sleep(self.rng.uniform(0.0, 6.0))
        self.change(name)

    def delete(self, name: str) -> None:
        """One that clients ask for."""
        del self.wanted[name]
        self.witnesses.ledger.also(name, UNKNOWN)
        self.chat.kubectl("delete", "lora", name, "--wait=false")

    def drain_pod(self, pod: str) -> None:
        """A node is emptied: no client may notice."""
        self.chat.kubectl("delete", "pod", pod, "--wait=false")

    def kill_pod(self, pod: str) -> None:
        """A node is lost."""
        self.witnesses.killed()
        self.faults.kill_pods(pod)

    def crash_engine(self, pod: str) -> None:
        """Its server ends, and another one starts in the same pod."""
        # Without an operator it starts with what the kubelet wrote last, which changes of this moment are ahead of.
        self.faults.over()
        self.witnesses.killed()
        self.chat.crash(pod)

    def kill_leader(self, _: str) -> None:
        """A node is lost with the operator on it."""
        self.faults.kill_leader()

    def look(self) -> None:
        """Note what is settled: from then on one answer alone is right."""
        ledger = self.witnesses.ledger
        found = {each["metadata"]["name"]: each for each in self.chat.objects("lora")}
        for name in self.wanted:
            if not ledger.settled(name) and self._serves(name, found[name]):
                ledger.only(name, self.answer(name))
        gone = [name for name in ADAPTERS if name not in self.wanted and not ledger.settled(name)]
        aliases = self._aliases() if gone else None
        for name in gone:
            if aliases is not None and name not in aliases:
                ledger.only(name, UNKNOWN)

    def settled(self) -> bool:
        """Whether every change is over."""
        self.look()
        waits = [name for name in ADAPTERS if not self.witnesses.ledger.settled(name)]
        assert waits == [], f"not yet: {', '.join(waits)}"
        return True

    def answer(self, name: str) -> str:
        """What clients are to be answered in the end."""
        return weights_name(self.folders[self.wanted[name]]) if name in self.wanted else UNKNOWN

    def manifest(self, name: str) -> str:
        """As its owner applies it."""
        folder = self.wanted[name]
        some = {"placement": {"replicas": SOME}, "endpoint": {"service": True}} if name in OF_SOME else {}
        sha = digest(self.folders[folder]) if self.rng.random() < 0.5 else None
        return adapter(name, folder, sha=sha, **some)

    def where(self, name: str) -> Endpoint:
        """Where clients ask for it; an adapter of some replicas has a Service of its own while it is there."""
        own = self.chat.find("service", f"{name}-adapter") if name in OF_SOME else None
        service = own or self.chat.get("service", NAME)
        return Endpoint(service["spec"]["clusterIP"], 80)

    def _want(self, name: str, folder: str) -> None:
        self.wanted[name] = folder
        self.witnesses.ledger.also(name, self.answer(name))

    def _serves(self, name: str, found: Object) -> bool:
        """Whether its status says that the wanted version is everywhere, and clients can see so."""
        version = short(self.folders[self.wanted[name]])
        if not stands(name, found) or found["status"]["version"] != version:
            return False
        # The nodes' proxies hear of a Service and its pods a moment after the status does.
        return name not in OF_SOME or self.witnesses.heard(name, self.where) == self.answer(name)

    def _aliases(self) -> set[str] | None:
        """The names that guards of pods know; None while one of them cannot be asked."""
        pods = [pod["metadata"]["name"] for pod in self.chat.pods(NAME)]
        try:
            return {alias for pod in pods for alias in held(self.chat, pod)["aliases"]}
        except (OSError, KeyError):  # no server yet, no address yet
            return None

    def _spare(self) -> list[str]:
        """The pods, when all of them are there and one can be lost: no adapter is without another pod."""
        settled = self.witnesses.ledger.settled
        pods = [pod["metadata"]["name"] for pod in self.chat.pods(NAME) if _ready(pod)]
        adapters = {each["metadata"]["name"]: each for each in self.chat.objects("lora")}
        fine = all(stands(name, each) for name, each in adapters.items() if settled(name))
        return pods if len(pods) == REPLICAS and fine else []


def stands(name: str, found: Object) -> bool:
    """Whether the status says that as many pods as wanted serve the present spec."""
    status, pods = found.get("status") or {}, pods_of(name)
    return (status.get("observedGeneration"), status.get("phase"), status.get("loaded")) == (
        found["metadata"]["generation"],
        "Ready",
        f"{pods}/{pods}",
    )


def pods_of(name: str) -> int:
    """How many pods should have an adapter."""
    return SOME if name in OF_SOME else REPLICAS


def _ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
