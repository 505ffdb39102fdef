"""What rolls the pods, and what does not."""

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
    maxModelLen: 2048
  accelerator:
    class: cpu
  drain:
    timeout: 5s
  pod:
    resources:
      requests: {cpu: 50m, memory: 128Mi}
"""


def test_a_changed_field_rolls_the_pods_once(chat: Namespace) -> None:
    chat.apply(MANIFEST)
    chat.becomes_ready("support")
    before = _uids(chat)

    chat.apply(MANIFEST.replace("maxModelLen: 2048", "maxModelLen: 1024"))
    rolling = chat.becomes("support", "Progressing", "RollingOut")
    assert rolling.status == "True"
    assert chat.condition("support", "Available").status == "True"
    chat.becomes_ready("support")

    assert not _uids(chat) & before
    (pod,) = chat.pods("support")
    arguments = pod["spec"]["containers"][0]["args"]
    assert arguments[arguments.index("--max-model-len") + 1] == "1024"
    assert len(chat.objects("replicaset")) == 2
    assert len(chat.objects("controllerrevision")) == 2
    assert _revision(chat) == "2"

    # The old template is still known: going back runs it again instead of making a third one.
    chat.apply(MANIFEST)
    chat.becomes_ready("support")
    assert len(chat.objects("controllerrevision")) == 2


def test_replicas_paused_and_rollout_do_not_roll_the_pods(chat: Namespace) -> None:
    chat.apply(MANIFEST)
    chat.becomes_ready("support")
    before = _uids(chat)

    chat.patch("support", {"replicas": 2})
    chat.becomes_ready("support")
    assert before < _uids(chat)

    chat.patch("support", {"rollout": {"maxUnavailable": 1}})
    chat.eventually(
        lambda: chat.get("deployment", "support")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 1,
        "the rollout settings reach the Deployment",
    )
    chat.patch("support", {"paused": True})
    paused = chat.becomes("support", "Progressing", "Paused")
    assert paused.message == "spec.paused is true: nothing is changed until it is false"

    # While it is paused, not even a change of the template does anything.
    chat.patch("support", {"engine": {"maxModelLen": 512}})
    chat.becomes("support", "Progressing", "Paused")
    assert _revision(chat) == "1"
    assert before < _uids(chat)

    chat.patch("support", {"paused": False, "engine": {"maxModelLen": 2048}})
    chat.becomes("support", "Progressing", "UpToDate")
    assert _revision(chat) == "1"
    assert before < _uids(chat)


def _uids(chat: Namespace) -> set[str]:
    return {pod["metadata"]["uid"] for pod in chat.pods("support")}


def _revision(chat: Namespace) -> str:
    """How often the Deployment's template has changed, as the Deployment controller counts."""
    annotations: dict[str, str] = chat.get("deployment", "support")["metadata"]["annotations"]
    return annotations["deployment.kubernetes.io/revision"]
