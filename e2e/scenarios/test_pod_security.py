"""Everything runs where the Pod Security Standard `restricted` is enforced, and the API server warns about nothing.

Every scenario's namespace enforces it; here the API server is asked to warn as well, which it does for a workload's
template even where no pod is made.
"""

import json

from e2e.harness.api import Object
from e2e.harness.dump import OPERATOR_NAMESPACE
from e2e.harness.installation import Installation
from e2e.harness.namespace import Namespace

MANIFEST = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: support
spec:
  model:
    uri: hf://Qwen/Qwen3-0.6B
    cache:
      size: 1Gi
      whenDeleted: Delete
  engine:
    version: 0.32.0
    image: $simulator
  accelerator:
    class: cpu
  drain:
    timeout: 5s
  pod:
    labels: {team: helpdesk}
    resources:
      requests: {cpu: 50m, memory: 128Mi}
    volumes:
      - {name: scratch, mountPath: /scratch, readOnly: false, emptyDir: {}}
"""


def test_engine_pods_are_restricted(chat: Namespace) -> None:
    chat.kubectl("label", "namespace", chat.name, "pod-security.kubernetes.io/warn=restricted")
    chat.apply(MANIFEST)
    chat.becomes_ready("support")

    template = chat.get("deployment", "support")["spec"]["template"]
    assert _warnings(chat, template) == []
    (pod,) = chat.pods("support")
    assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True

    loose = template | {"spec": template["spec"] | {"securityContext": {}}}
    assert any("PodSecurity" in warning for warning in _warnings(chat, loose)), "the check itself does not work"


def test_the_operator_is_restricted_and_its_installation_does_not_warn(operator: Installation) -> None:
    namespace = json.loads(operator.kubectl("get", "namespace", OPERATOR_NAMESPACE, "-o", "json"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/warn"] == "restricted"

    assert operator.upgrade(operator.image) == []


def _warnings(chat: Namespace, template: Object) -> list[str]:
    """What the API server says to a Deployment with this template, without storing it."""
    copy = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "copy"},
        "spec": {"selector": {"matchLabels": template["metadata"]["labels"]}, "template": template},
    }
    result = chat.cluster.kubectl("-n", chat.name, "create", "--dry-run=server", "-f", "-", stdin=json.dumps(copy))
    return result.warnings
