"""What someone deletes or edits by hand comes back."""

from collections.abc import Callable

from e2e.harness.api import Object
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
REPAIR_SECONDS = 5


def test_a_deleted_or_edited_child_is_repaired(chat: Namespace) -> None:
    chat.apply(MANIFEST)
    chat.becomes_ready("support")

    _comes_back(chat, "service", _ports, lambda: _patch(chat, "service", "/spec/ports/0/port", "81"))
    _comes_back(chat, "service", _traffic, lambda: _patch(chat, "service", "/spec/selector", '{"app": "other"}'))
    _comes_back(chat, "deployment", _replicas, lambda: _scale_deployment(chat))
    arguments = "/spec/template/spec/containers/0/args"
    _comes_back(chat, "deployment", _arguments, lambda: _patch(chat, "deployment", arguments, '["--model", "other"]'))

    variable = '{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}'
    environment = "/spec/template/spec/containers/0/env/-"
    _comes_back(chat, "deployment", _environment, lambda: _patch(chat, "deployment", environment, variable, "add"))

    for kind in ("poddisruptionbudget", "service", "serviceaccount", "deployment"):
        _is_made_again(chat, kind)
    chat.becomes_ready("support")
    with chat.service("support") as service:
        assert service.models() == ["support"]


def _comes_back(chat: Namespace, kind: str, field: Callable[[Object], object], edit: Callable[[], object]) -> None:
    before = chat.get(kind, "support")
    edit()  # is stored when kubectl returns, so what is seen from here on is the edit or its repair
    chat.eventually(
        lambda: field(chat.get(kind, "support")) == field(before),
        f"the {kind} is as before the edit",
        within=REPAIR_SECONDS,
    )
    assert chat.get(kind, "support")["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
    assert chat.get(kind, "support")["metadata"]["uid"] == before["metadata"]["uid"]


def _is_made_again(chat: Namespace, kind: str) -> None:
    name = "support-engine" if kind == "serviceaccount" else "support"
    before = chat.get(kind, name)["metadata"]["uid"]
    chat.kubectl("delete", kind, name, "--wait=false")
    chat.eventually(
        lambda: chat.get(kind, name)["metadata"]["uid"] != before,
        f"the {kind} is there again",
        within=REPAIR_SECONDS,
    )


def _patch(chat: Namespace, kind: str, path: str, value: str, operation: str = "replace") -> None:
    patch = f'[{{"op": "{operation}", "path": "{path}", "value": {value}}}]'
    chat.kubectl("patch", kind, "support", "--type=json", "-p", patch)


def _scale_deployment(chat: Namespace) -> None:
    chat.kubectl("scale", "deployment", "support", "--replicas=2")


def _ports(service: Object) -> object:
    return service["spec"]["ports"]


def _traffic(service: Object) -> object:
    return service["spec"]["selector"]


def _replicas(deployment: Object) -> object:
    return deployment["spec"]["replicas"]


def _arguments(deployment: Object) -> object:
    return deployment["spec"]["template"]["spec"]["containers"][0]["args"]


def _environment(deployment: Object) -> object:
    return deployment["spec"]["template"]["spec"]["containers"][0]["env"]
