"""What a pod's status says, in our words."""

from dataclasses import dataclass
from typing import Any

from .names import ENGINE_CONTAINER
from .types import LogRequest, Manifest


@dataclass(frozen=True)
class Exit:
    """How the engine container ended; `key` is the container's id, the same wherever this death is seen."""

    code: int
    reason: str
    key: str
    previous: bool
    """Whether a successor already runs or waits, so that the log is the previous container's."""


@dataclass(frozen=True)
class PodFacts:
    """One engine pod."""

    name: str
    ready: bool
    deleting: bool
    finished: bool
    """Phase Failed or Succeeded (evicted, say): it will never run again."""
    verdict: str
    """The kubelet's or the scheduler's reason and message for the whole pod, such as an eviction."""
    unschedulable: str
    waiting_reason: str
    waiting_message: str
    restarts: int
    exit: Exit | None

    @property
    def log_request(self) -> LogRequest | None:
        """The log that says why the engine died, for a pod that is not serving."""
        if self.exit is None or self.ready or self.deleting:
            return None
        return LogRequest(self.name, ENGINE_CONTAINER, self.exit.previous, self.exit.key)


def pod_facts(pod: Manifest) -> PodFacts:
    """Read a pod; anything that is absent counts as not yet known."""
    status = pod.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    scheduled = conditions.get("PodScheduled", {})
    container = _engine_status(status)
    waiting = container.get("state", {}).get("waiting", {})
    return PodFacts(
        name=pod["metadata"]["name"],
        ready=conditions.get("Ready", {}).get("status") == "True",
        deleting="deletionTimestamp" in pod["metadata"],
        finished=status.get("phase") in {"Failed", "Succeeded"},
        verdict=": ".join(part for part in (status.get("reason", ""), status.get("message", "")) if part),
        unschedulable=scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else "",
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        restarts=container.get("restartCount", 0),
        exit=_exit(container),
    )


def _engine_status(status: Manifest) -> dict[str, Any]:
    for container in status.get("containerStatuses", []):
        if container["name"] == ENGINE_CONTAINER:
            return dict(container)
    return {}


def _exit(container: dict[str, Any]) -> Exit | None:
    for state, previous in ((container.get("state", {}), False), (container.get("lastState", {}), True)):
        if (ended := state.get("terminated")) is not None:
            key = ended.get("containerID") or f"{container['name']}/{container.get('restartCount', 0)}"
            return Exit(ended["exitCode"], ended.get("reason", ""), key, previous)
    return None
