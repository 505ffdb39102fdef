"""The leading replica of the operator dies in the middle of its work."""

from e2e.harness.installation import TAKEOVER_SECONDS, Installation
from e2e.harness.namespace import PATIENCE_SECONDS, Namespace

MANIFEST = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: NAME
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
FLEETS = ("alpha", "bravo", "charlie", "delta", "echo")
CHILDREN = ("deployment", "replicaset", "service", "serviceaccount", "poddisruptionbudget", "controllerrevision")


def test_another_replica_finishes_what_a_killed_leader_began(chat: Namespace, operator: Installation) -> None:
    operator.complete()
    leader, term = operator.leader(), operator.lease()["leaseTransitions"]

    chat.apply("---".join(MANIFEST.replace("NAME", fleet) for fleet in FLEETS))
    chat.eventually(lambda: chat.objects("controllerrevision"), "the first children are there")
    operator.kill(leader)

    for fleet in FLEETS:
        chat.becomes_ready(fleet, within=TAKEOVER_SECONDS + PATIENCE_SECONDS)
    assert operator.leader() in operator.pods()
    assert operator.leader() != leader
    assert operator.lease()["leaseTransitions"] > term

    for kind in CHILDREN:
        children = chat.objects(kind, "app.kubernetes.io/managed-by=slmfleet")
        assert sorted(child["metadata"]["labels"]["slmfleet.dev/deployment"] for child in children) == list(FLEETS)
    assert [len(chat.pods(fleet)) for fleet in FLEETS] == [1] * len(FLEETS)
    # A successor that renders or applies anything differently would show in the generation.
    assert {child["metadata"]["generation"] for child in chat.objects("deployment")} == {1}
