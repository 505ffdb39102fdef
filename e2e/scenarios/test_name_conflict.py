"""A stranger's object with the name of one of ours is never touched."""

from e2e.harness.namespace import Namespace

STRANGER = """
apiVersion: v1
kind: Service
metadata:
  name: support
  labels: {team: helpdesk}
spec:
  selector: {app: helpdesk}
  ports: [{name: web, port: 443, targetPort: 8443}]
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
  accelerator:
    class: cpu
  drain:
    timeout: 5s
  pod:
    resources:
      requests: {cpu: 50m, memory: 128Mi}
"""


def test_a_strangers_service_is_left_alone_until_it_is_gone(chat: Namespace) -> None:
    chat.apply(STRANGER)
    before = _raw(chat)
    chat.apply(MANIFEST)

    conflict = chat.becomes("support", "Accepted", "NameConflict")
    assert conflict.status == "False"
    assert conflict.message == (
        'a Service named "support" exists and is not ours; it is left as it is and nothing is started. '
        "Delete or rename it, or give this SLMDeployment another name"
    )
    assert chat.get("slm", "support")["status"]["phase"] == "Invalid"
    # Another look at the object, which an edit brings about, changes nothing either.
    chat.patch("support", {"replicas": 2})
    chat.becomes("support", "Accepted", "NameConflict")
    assert _raw(chat) == before
    assert chat.objects("deployment") == chat.objects("pod") == chat.objects("controllerrevision") == []

    # Nor does the deletion of the SLMDeployment take the stranger with it.
    chat.kubectl("delete", "slm", "support")
    chat.apply(MANIFEST)
    chat.becomes("support", "Accepted", "NameConflict")
    assert _raw(chat) == before

    chat.kubectl("delete", "service", "support")
    # No event tells of the deletion of an object without our labels: it is looked for every 30 s.
    chat.becomes("support", "Accepted", "Accepted", within=60)
    chat.becomes_ready("support")
    assert chat.get("service", "support")["metadata"]["labels"]["slmfleet.dev/deployment"] == "support"


def _raw(chat: Namespace) -> str | None:
    """The stranger, byte for byte, with its uid and resourceVersion."""
    return chat.cluster.api.text(f"/api/v1/namespaces/{chat.name}/services/support")
