"""What a deletion leaves: nothing but a cache that is to be kept."""

from e2e.harness.api import Object
from e2e.harness.namespace import Namespace

MANIFEST = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: kept
spec:
  model:
    uri: hf://Qwen/Qwen3-0.6B
    cache:
      size: 1Gi
      whenDeleted: Retain
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
CHILDREN = ("deployment", "replicaset", "pod", "service", "serviceaccount", "poddisruptionbudget", "controllerrevision")


def test_a_deletion_leaves_only_a_retained_cache_which_a_successor_adopts(chat: Namespace) -> None:
    chat.apply(MANIFEST)
    chat.apply(MANIFEST.replace("name: kept", "name: gone").replace("whenDeleted: Retain", "whenDeleted: Delete"))
    chat.becomes_ready("kept")
    chat.becomes_ready("gone")
    assert _left(chat) == {*CHILDREN, "persistentvolumeclaim"}
    claims = {claim["metadata"]["name"]: claim["metadata"]["uid"] for claim in chat.objects("persistentvolumeclaim")}
    assert claims.keys() == {"kept-models", "gone-models"}

    chat.kubectl("delete", "slm", "kept", "gone")

    # The pods take the ten seconds in which load balancers forget them, then their drain.
    chat.eventually(lambda: _left(chat) == {"persistentvolumeclaim"}, "only the retained cache is left")
    chat.eventually(lambda: len(chat.objects("persistentvolumeclaim")) == 1, "one of the two caches is left")
    assert chat.get("persistentvolumeclaim", "kept-models")["metadata"]["uid"] == claims["kept-models"]

    chat.apply(MANIFEST)
    chat.becomes_ready("kept")
    (claim,) = chat.objects("persistentvolumeclaim")
    assert claim["metadata"]["uid"] == claims["kept-models"]
    (pod,) = chat.pods("kept")
    assert "kept-models" in {_claim_of(volume) for volume in pod["spec"]["volumes"]}


def _left(chat: Namespace) -> set[str]:
    """The kinds of which there is still something of ours."""
    kinds = (*CHILDREN, "persistentvolumeclaim")
    return {kind for kind in kinds if chat.objects(kind, "app.kubernetes.io/managed-by=slmfleet")}


def _claim_of(volume: Object) -> str:
    return str(volume.get("persistentVolumeClaim", {}).get("claimName", ""))
