"""Scaling by kubectl, by manifest and beside a GitOps tool."""

import json
from typing import Any

from e2e.harness.namespace import Namespace

MANIFEST = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: support
spec:
  model:
    uri: image:///models/tiny
  engine:
    version: 0.32.0
    image: $simulator
  accelerator:
    class: cpu
  drain:
    timeout: 5s
  pod:
    resources:
      requests: {cpu: 50m, memory: 128Mi}
"""
GITOPS = ("--server-side", "--field-manager=argocd-controller")


def test_kubectl_scale_and_apply_set_the_replicas(chat: Namespace) -> None:
    chat.apply(MANIFEST)
    chat.becomes_ready("support")
    assert _scale(chat) == {"spec": 1, "status": 1, "selector": "slmfleet.dev/deployment=support"}

    chat.kubectl("scale", "slm", "support", "--replicas=3")
    chat.becomes_ready("support")
    assert _scale(chat) == {"spec": 3, "status": 3, "selector": "slmfleet.dev/deployment=support"}
    assert len(chat.pods("support")) == 3
    counted = chat.kubectl("get", "pods", "-l", _scale(chat)["selector"], "-o", "name").split()
    assert len(counted) == 3

    chat.kubectl("scale", "slm", "support", "--replicas=0")
    nothing = chat.becomes("support", "Available", "ScaledToZero")
    assert (nothing.status, nothing.message) == ("True", "spec.replicas is 0: nothing runs, as wanted")
    chat.eventually(lambda: chat.get("slm", "support")["status"]["phase"] == "ScaledToZero", "phase ScaledToZero")
    assert _scale(chat)["status"] == 0
    assert chat.pods("support") == []

    chat.apply(MANIFEST.replace("spec:\n  model:", "spec:\n  replicas: 2\n  model:"))
    chat.becomes_ready("support")
    assert _scale(chat) == {"spec": 2, "status": 2, "selector": "slmfleet.dev/deployment=support"}


def test_a_gitops_tool_that_does_not_set_replicas_keeps_the_scaled_value(chat: Namespace) -> None:
    chat.apply(MANIFEST, *GITOPS)
    chat.becomes_ready("support")
    chat.kubectl("scale", "slm", "support", "--replicas=2")
    before = chat.becomes_ready("support")
    generation = chat.get("slm", "support")["metadata"]["generation"]

    chat.apply(MANIFEST, *GITOPS)
    again = chat.get("slm", "support")
    assert (again["spec"]["replicas"], again["metadata"]["generation"]) == (2, generation)

    # A synced change of something else keeps them, too; the tool owns neither replicas nor anything in status.
    chat.apply(MANIFEST.replace("timeout: 5s", "timeout: 4s"), *GITOPS)
    assert chat.becomes_ready("support") == before
    assert chat.get("slm", "support")["spec"]["replicas"] == 2
    assert len(chat.pods("support")) == 2


def _scale(chat: Namespace) -> dict[str, Any]:
    path = f"/apis/slmfleet.dev/v1alpha1/namespaces/{chat.name}/slmdeployments/support/scale"
    scale = json.loads(chat.kubectl("get", "--raw", path))
    status = scale["status"]
    return {"spec": scale["spec"].get("replicas", 0), "status": status["replicas"], "selector": status["selector"]}
