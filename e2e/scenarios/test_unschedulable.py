"""More GPUs than a node has: the scheduler's own words, and the way out."""

import json
import secrets
from collections.abc import Iterator

import pytest

from e2e.harness.cluster import Cluster
from e2e.harness.namespace import Namespace

CLASS = """
apiVersion: slmfleet.dev/v1alpha1
kind: AcceleratorClass
metadata:
  name: $name
spec:
  platform: cuda
  memory: 23034Mi
  resourceName: nvidia.com/gpu
"""
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
  parallelism:
    tensor: 64
  accelerator:
    class: CLASS
  drain:
    timeout: 5s
  pod:
    resources:
      requests: {cpu: 50m, memory: 128Mi}
"""


@pytest.fixture
def accelerator(cluster: Cluster) -> Iterator[str]:
    """An AcceleratorClass without node terms: any node with the resource."""
    if not cluster.local:
        pytest.skip(
            "needs nvidia.com/gpu on a node where the engine's look-alike may run: only the local cluster has it"
        )
    name = f"scenario-{secrets.token_hex(2)}"
    cluster.kubectl("apply", "-f", "-", stdin=CLASS.replace("$name", name))
    yield name
    cluster.kubectl("delete", "acceleratorclass", name)


def test_a_pod_that_fits_no_node_is_unschedulable_until_it_is_made_smaller(accelerator: str, chat: Namespace) -> None:
    manifest = MANIFEST.replace("CLASS", accelerator)
    chat.apply(manifest)

    unschedulable = chat.becomes("support", "Available", "Unschedulable")
    (pod,) = chat.pods("support")
    assert unschedulable.status == "False"
    assert unschedulable.message.startswith(f"pod {pod['metadata']['name']}: 0/")
    assert "Insufficient nvidia.com/gpu" in unschedulable.message
    assert chat.condition("support", "Ready") == unschedulable
    assert chat.get("slm", "support")["status"]["phase"] == "Pending"
    events = chat.eventually(lambda: _warnings(chat), "an event tells it")
    assert [event["note"] for event in events] == [unschedulable.message]
    assert "Insufficient nvidia.com/gpu" in chat.kubectl("describe", "slm", "support").partition("\nEvents:")[2]

    chat.apply(manifest.replace("tensor: 64", "tensor: 2"))

    chat.becomes_ready("support")
    status = chat.get("slm", "support")["status"]
    assert (status["phase"], status["gpus"]) == ("Ready", 2)
    (pod,) = chat.pods("support")
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "2"}, json.dumps(pod["spec"])


def _warnings(chat: Namespace) -> list[dict[str, str]]:
    events = chat.objects("event")
    return [e for e in events if e["regarding"]["kind"] == "SLMDeployment" and e["type"] == "Warning"]
