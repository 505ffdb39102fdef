"""Adapters, the engines' reports about them, and what is decided."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from slmfleet.core.autoscale.advice import Advice
from slmfleet.core.types import AdapterOutcome, Manifest, Observed, Plan, Ref, WriteFailure
from tests.core.make import CONFIG, applied, decide, slm

HEX = {f"v{n}": f"{n}" * 64 for n in range(1, 7)}
"""Versions whose digests are 111…, 222…"""
FACTS = {"bytes": 5, "base": "Qwen/Qwen3-8B", "rank": 8, "targets": ["q_proj"], "bias": "none", "peftType": "LORA"}
FETCHING = replace(CONFIG, fetcher="fetcher:1")


def digest(version: str) -> str:
    return f"sha256:{HEX[version]}"


def engine_name(version: str, served: str = "legal") -> str:
    return f"{served}@{HEX[version][:12]}"


def path(version: str) -> str:
    return f"/adapters/{HEX[version]}"


def fleet(**lora: Any) -> Manifest:
    """An SLMDeployment with room for four adapters and a volume for them."""
    wanted = {"maxAdapters": 4, "claimName": "adapters", **lora}
    return slm(engine={"version": "0.32.0", "lora": wanted})


def scaled(replicas: int) -> Manifest:
    """The same with so many replicas."""
    made = fleet()
    return made | {"spec": made["spec"] | {"replicas": replicas}}


def adapter(name: str = "legal", version: str = "v1", *, status: Manifest | None = None, **spec: Any) -> Manifest:
    """A LoRAAdapter `chat/<name>`; keyword arguments replace parts of the spec."""
    made: Manifest = {
        "apiVersion": "slmfleet.dev/v1alpha1",
        "kind": "LoRAAdapter",
        "metadata": {"name": name, "namespace": "chat", "uid": f"{name}-uid", "generation": 1},
        "spec": {
            "deploymentRef": {"name": "support"},
            "source": {"uri": "s3://adapters/legal", "digest": digest(version)},
            **spec,
        },
    }
    made["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return made | ({"status": status} if status is not None else {})


def engine(name: str = "support-1", *, ready: bool = True, labels: dict[str, str] | None = None) -> Manifest:
    """A pod that can be given adapters."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "chat", "uid": f"{name}-uid", "labels": labels or {}},
        "spec": {"volumes": [{"name": "adapter-table"}], "serviceAccountName": "support"},
        "status": {
            "podIP": f"10.0.0.{name[-1]}",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "engine", "containerID": "c1"}],
        },
    }


def report(loaded: Iterable[str] = (), alias: str | None = None, **failed: str) -> Manifest:
    """What a guard says: versions of `legal` that are loaded, which one has the name, and failures by version."""
    adapters = {engine_name(v): {"path": path(v), "state": "Loaded", "reason": "", "message": ""} for v in loaded}
    adapters |= {
        engine_name(v): {"path": path(v), "state": "Failed", "reason": why, "message": "no"}
        for v, why in failed.items()
    }
    return {"adapters": adapters, "aliases": {"legal": engine_name(alias)} if alias else {}, "table": "", "ready": True}


def job_of(plan: Plan) -> Manifest:
    (job,) = [m for m in plan.apply if m["kind"] == "Job"]
    return job


class World:
    """A fleet with adapters, as it goes on from plan to plan: statuses and Jobs are kept as a cluster keeps them."""

    def __init__(self, *adapters: Manifest, slm: Manifest | None = None, pods: Iterable[Manifest] = ()) -> None:
        self.slm = slm or fleet()
        self.adapters = {a["metadata"]["name"]: a for a in adapters}
        self.pods = tuple(pods) or (engine("support-1"), engine("support-2"))
        self.reports: dict[str, Any] = {}
        self.inspected: dict[str, Any] = {}
        self.jobs: dict[Ref, Manifest] = {}
        self.words: dict[str, str] = {}
        self.advice: Advice | None = None
        self.failures: tuple[WriteFailure, ...] = ()
        self.services: dict[Ref, Manifest] = {}
        self.plan = Plan()

    def observed(self) -> Observed:
        base = applied(self.slm, *self.pods, config=FETCHING)
        templates = [m["spec"]["template"] for ref, m in base.children.items() if ref.kind == "Deployment"]
        containers = {"containers": templates[0]["spec"]["containers"]} if templates else {}
        return replace(
            base,
            pods=tuple(pod | {"spec": containers | pod["spec"]} for pod in base.pods),
            children={**base.children, **self.jobs, **self.services},
            failures=self.failures,
            adapters=tuple(self.adapters.values()),
            reports=self.reports,
            inspected=self.inspected,
            answers=self.words,
            advice=self.advice,
        )

    def step(self) -> Plan:
        self.plan = decide(self.observed(), FETCHING)
        for outcome in self.plan.outcomes:
            self.adapters[outcome.manifest["metadata"]["name"]] = outcome.manifest | {"status": outcome.status}
        for job in self.plan.apply:
            if job["kind"] == "Job":
                self.jobs[Ref.of(job)] = job | {"metadata": job["metadata"] | {"uid": f"{job['metadata']['name']}-uid"}}
        for ref in self.plan.delete:
            self.jobs.pop(replace(ref, uid=""), None)
        return self.plan

    def fetched(self, version: str = "v1", **facts: Any) -> Plan:
        """The Job ends, and its pod says what it found."""
        self.step()
        return self.ended("Complete", {**FACTS, "digest": digest(version), **facts})

    def ended(self, how: str, words: object) -> Plan:
        for job in self.jobs.values():
            ended = {"type": how, "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z", "message": "deadline"}
            if "status" not in job:
                job["status"] = {"conditions": [ended]}
                self.words[f"{job['metadata']['uid']}/{how}"] = words if isinstance(words, str) else json.dumps(words)
        return self.step()

    def reported(self, what: Manifest | None, *pods: str) -> Plan:
        """The guards of these pods (all, if none is named) answer."""
        for name in pods or [pod["metadata"]["name"] for pod in self.pods]:
            self.reports[f"{name}-uid"] = what
        return self.step()

    def outcome(self, name: str = "legal") -> AdapterOutcome:
        return next(o for o in self.plan.outcomes if o.manifest["metadata"]["name"] == name)

    def condition(self, kind: str, name: str = "legal") -> tuple[str, str]:
        found = self.outcome(name).status["conditions"]
        return next((c["status"], c["reason"]) for c in found if c["type"] == kind)

    def message(self, kind: str, name: str = "legal") -> str:
        found = self.outcome(name).status["conditions"]
        return next(str(c["message"]) for c in found if c["type"] == kind)

    def table(self, pod: str = "support-1") -> dict[str, Any]:
        """Engine-side name -> alias, in the table of a pod."""
        order = next(order for order in self.plan.tables if order.uid == f"{pod}-uid")
        return {name: entry["alias"] for name, entry in order.table["adapters"].items()}


def ready(**spec: Any) -> World:
    """A fleet whose two pods serve version v1."""
    world = World(adapter(**spec))
    world.fetched()
    world.reported(report(["v1"], "v1"))
    assert world.condition("Ready") == ("True", "Ready")
    return world
