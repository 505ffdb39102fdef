"""Objects for tests: the shortest valid ones, and what a cluster would have made of them."""

from datetime import UTC, datetime
from typing import Any

from slmfleet.core.plan import plan
from slmfleet.core.types import Config, Manifest, Observed, Plan, Ref

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONFIG = Config(
    renderer="0.1.0",
    images={p: f"vllm-{p}:v{{version}}" for p in ("cuda", "rocm", "cpu")},
    guard={"middleware.py": "# as in 0.1.0\n"},
    key=b"the operator's key",
)


def slm(**spec: Any) -> Manifest:
    """An SLMDeployment `chat/support`, generation 1; keyword arguments replace parts of the spec."""
    return {
        "apiVersion": "slmfleet.dev/v1alpha1",
        "kind": "SLMDeployment",
        "metadata": {"name": "support", "namespace": "chat", "uid": "slm-uid", "generation": 1},
        "spec": {
            "model": {"uri": "hf://Qwen/Qwen3-8B"},
            "engine": {"version": "0.32.0"},
            "accelerator": {"class": "nvidia-l4"},
            **spec,
        },
    }


def decide(observed: Observed, config: Config = CONFIG) -> Plan:
    """plan() at a fixed time."""
    return plan(observed, config, NOW)


def stored(manifest: Manifest, **status: Any) -> Manifest:
    """A child as the API server would return it: with a uid, a generation, and `status`."""
    metadata = manifest["metadata"] | {"uid": f"{manifest['kind']}-uid", "generation": 1}
    return manifest | {"metadata": metadata} | ({"status": status} if status else {})


def applied(
    obj: Manifest, *pods: Manifest, config: Config = CONFIG, answers: dict[str, str] | None = None, **status: Any
) -> Observed:
    """What is observed once everything planned for `obj` is stored; `status` is the Deployment's."""
    wanted = decide(Observed(obj), config).apply
    children = {
        Ref.of(m): stored(m, **({"observedGeneration": 1} | status if m["kind"] == "Deployment" else {}))
        for m in wanted
        if m["kind"] != "Secret"  # nobody sees it
    }
    return Observed(obj, children=children, pods=pods, answers=answers or {})


def counts(total: int, ready: int, updated: int | None = None) -> dict[str, Any]:
    """A Deployment's counters."""
    return {"replicas": total, "readyReplicas": ready, "updatedReplicas": total if updated is None else updated}


def pod(name: str = "support-1", *, ready: bool = False, container: Manifest | None = None, **status: Any) -> Manifest:
    """A pod of the fleet; `container` is the engine's container status."""
    conditions = [{"type": "Ready", "status": str(ready)}, *status.pop("conditions", [])]
    states = [{"name": "engine", **container}] if container else []
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "chat", "uid": f"{name}-uid"},
        "spec": {"serviceAccountName": "support"},
        "status": {"phase": "Pending", "conditions": conditions, "containerStatuses": states, **status},
    }


def terminated(code: int, *, previous: bool = True, reason: str = "Error", container_id: str = "c1") -> Manifest:
    """A container status whose engine died; `previous` when its successor runs, or is waited for."""
    state = {"terminated": {"exitCode": code, "reason": reason, "containerID": container_id}}
    return {"lastState": state, "state": {"running": {}}, "restartCount": 1} if previous else {"state": state}


def condition(plan_: Plan, kind: str) -> tuple[str, str, str]:
    """(status, reason, message) of one condition."""
    return next((c["status"], c["reason"], c["message"]) for c in plan_.status["conditions"] if c["type"] == kind)


def child(plan_: Plan, kind: str) -> Manifest:
    """The one planned child of a kind."""
    (found,) = [m for m in plan_.apply if m["kind"] == kind]
    return found
