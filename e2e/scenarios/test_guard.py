"""What the guard closes, what its token opens, and that the token comes back and goes nowhere."""

import base64
import time

from e2e.harness.installation import Installation
from e2e.harness.namespace import Namespace
from slmfleet.core.pods import SETUP_SECONDS

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
    maxModelLen: 1024
  accelerator:
    class: cpu
  drain:
    timeout: 5s
  pod:
    resources:
      requests: {cpu: 50m, memory: 128Mi}
"""
PROMPT = {"model": "support", "prompt": "hello"}


def test_the_token_opens_what_is_closed_to_clients_and_is_nowhere_to_be_read(
    chat: Namespace, operator: Installation
) -> None:
    chat.apply(MANIFEST)
    chat.becomes_ready("support")
    token = chat.guard_token("support")
    with chat.service("support") as service:
        status, refused = service.call("POST", "/tokenize", PROMPT)
        assert (status, refused["error"]["type"]) == (403, "PermissionDeniedError")
        assert service.call("POST", "/tokenize", PROMPT, X_Slmfleet_Token="0" * 64)[0] == 403
        assert service.call("POST", "/tokenize", PROMPT, X_Slmfleet_Token=token)[1]["count"] == 2
        assert service.call("POST", "/v1/completions", PROMPT | {"prompt": "x" * 2**25})[0] == 413

        chat.apply(MANIFEST + "  guard: {extraRoutes: [POST /tokenize]}\n")
        chat.becomes_ready("support")
        chat.eventually(lambda: len(chat.objects("pod")) == 1, "the old pod is gone")
        assert service.call("POST", "/tokenize", PROMPT)[1]["count"] == 2

    kinds = "slm,deploy,pods,events,controllerrevisions,configmaps"
    everything = chat.kubectl("get", kinds, "-o", "yaml") + chat.kubectl(
        "logs", "-l", "slmfleet.dev/deployment=support"
    )
    everything += "".join(operator.kubectl("logs", pod) for pod in operator.pods())
    assert "support-guard-" in everything
    assert token not in everything
    assert base64.b64encode(token.encode()).decode() not in everything


def test_deleted_files_and_a_deleted_token_come_back(chat: Namespace, operator: Installation) -> None:
    chat.apply(MANIFEST)
    chat.becomes_ready("support")
    token, secret = chat.guard_token("support"), chat.objects("secret")[0]["metadata"]["name"]
    (files,) = [found["metadata"]["name"] for found in chat.objects("configmap", "slmfleet.dev/deployment=support")]

    chat.kubectl("delete", "configmap", files)
    chat.eventually(lambda: chat.find("configmap", files), "the files are there again")

    # A kubelet keeps an immutable Secret for as long as a pod of its node mounts it.
    chat.patch("support", {"replicas": 0})
    chat.eventually(lambda: not chat.objects("pod"), "no pod is left")
    made, began = _creations(operator), time.monotonic()
    chat.kubectl("delete", "secret", secret)
    chat.patch("support", {"replicas": 1})
    chat.eventually(lambda: chat.find("secret", secret), "the token is there again")
    assert chat.guard_token("support") == token
    # The kubelet's own pause between two attempts grows to two minutes.
    chat.becomes_ready("support", within=300)

    # Only while the pod could not start, as often as the kubelet was asked why, and never again.
    after, waited = _creations(operator), time.monotonic() - began
    assert 1 <= after - made <= 6 + waited / SETUP_SECONDS
    for replicas in (2, 1):
        chat.patch("support", {"replicas": replicas})
        chat.becomes_ready("support")
    assert _creations(operator) == after


def _creations(operator: Installation) -> float:
    """How often the operator has tried to make a Secret, whatever came of it."""
    samples = operator.metric(operator.leader(), "slmfleet_writes_total")
    return sum(value for labels, value in samples.items() if 'kind="Secret"' in labels and 'verb="create"' in labels)
