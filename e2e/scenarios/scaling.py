"""What the scenarios of scaling share: a fleet of the simulator, load, and what became of both."""

import json
import time
from typing import Any

from e2e.harness.api import Object
from e2e.harness.dump import OPERATOR_NAMESPACE
from e2e.harness.installation import METRICS_PORT, Installation
from e2e.harness.namespace import PATIENCE_SECONDS, Namespace
from e2e.harness.reach import reach

NAME = "support"
HASTY = "settleSeconds=5"
"""A value of the chart."""


def manifest(scaling: str, *, engine: str = "", extra: str = "", **simulator: object) -> str:
    """A fleet whose engine runs four requests at a time; `scaling` is the inside of spec.scaling as flow YAML."""
    settings = {"START_SECONDS": 2, "DECODE_STEP_MS": 20} | simulator
    env = "".join(f'\n      - {{name: SLMFLEET_SIM_{name}, value: "{value}"}}' for name, value in settings.items())
    return f"""
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: {NAME}
spec:
  model:
    uri: image:///models/tiny
  engine:
    version: 0.32.0
    image: $simulator
    maxModelLen: 2048
    maxNumSeqs: 4
    {engine}
  accelerator:
    class: cpu
  scaling: {{{scaling}}}
  drain:
    timeout: 60s
  {extra}
  pod:
    resources:
      requests: {{cpu: 20m, memory: 96Mi}}
    env:{env}
"""


def replicas(chat: Namespace) -> int:
    """What the Deployment asks for."""
    return int(chat.get("deployment", NAME)["spec"]["replicas"])


def scaling(chat: Namespace) -> dict[str, Any]:
    """status.scaling."""
    found: dict[str, Any] = chat.get("slm", NAME)["status"].get("scaling") or {}
    assert found, "no status.scaling yet"
    return found


def reaches(chat: Namespace, number: int, within: float = PATIENCE_SECONDS) -> float:
    """Wait until the Deployment asks for so many replicas or more; the seconds that it took."""
    began = time.monotonic()
    chat.eventually(lambda: replicas(chat) >= number, f"{number} replicas are asked for", within)
    return time.monotonic() - began


def running(chat: Namespace, pod: Object) -> bool:
    """Whether the engine of a pod runs a request, by its own count."""
    with reach(chat.cluster, chat.name, f"pod/{pod['metadata']['name']}", 8000) as endpoint:
        lines = endpoint.get("/metrics").splitlines()
    return any(float(line.split()[-1]) > 0 for line in lines if line.startswith("vllm:num_requests_running{"))


def scale_bounds(chat: Namespace, **bounds: object) -> None:
    """Change fields of spec.scaling."""
    chat.patch(NAME, {"scaling": bounds})


def events(chat: Namespace, reason: str) -> list[str]:
    """The notes of the fleet's events with this reason."""
    return [event["note"] for event in chat.objects("event") if event["reason"] == reason]


def told(chat: Namespace) -> str:
    """status.scaling, for a failed assertion."""
    return json.dumps(scaling(chat), indent=1)


def wake(operator: Installation, namespace: str, token: str, requests: int = 3) -> tuple[int, Any]:
    """Wake the fleet; status and answer."""
    with reach(operator.cluster, OPERATOR_NAMESPACE, f"pod/{operator.leader()}", METRICS_PORT) as endpoint:
        return endpoint.call(
            "POST", f"/wake/{namespace}/{NAME}", {"requests": requests}, Authorization=f"Bearer {token}"
        )
