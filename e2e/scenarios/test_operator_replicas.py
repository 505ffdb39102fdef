"""Two replicas of the operator: one works, the other takes over."""

from e2e.harness.installation import Installation
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
# Less than the lease's 15 s: a leader that stops in order gives the lease back.
HANDOVER_SECONDS = 10


def test_only_the_leader_writes(chat: Namespace, operator: Installation) -> None:
    chat.apply(MANIFEST)
    chat.becomes_ready("support")

    leader = operator.leader()
    (standby,) = [pod for pod in operator.pods() if pod != leader]
    assert {operator.metric(pod, "slmfleet_leader")[""] for pod in (leader, standby)} == {0.0, 1.0}
    assert _written(operator, leader) >= {"Deployment", "Service", "SLMDeployment", "Event"}
    assert _written(operator, standby) <= {"Lease"}
    events = [event for event in chat.objects("event") if event["regarding"]["kind"] == "SLMDeployment"]
    assert {event["reportingInstance"] for event in events} == {leader}


def test_a_leader_that_stops_hands_over_at_once(chat: Namespace, operator: Installation) -> None:
    chat.apply(MANIFEST)
    chat.becomes_ready("support")
    before = chat.pods("support")
    leader, term = operator.leader(), operator.lease()["leaseTransitions"]

    operator.kubectl("delete", "pod", leader, "--wait=false")
    operator.eventually(
        lambda: operator.leader() not in {"", leader}, "another replica has the lease", within=HANDOVER_SECONDS
    )
    assert operator.lease()["leaseTransitions"] > term

    operator.kubectl("rollout", "restart", "deployment/slmfleet")
    chat.kubectl("scale", "slm", "support", "--replicas=2")
    chat.becomes_ready("support")
    operator.kubectl("rollout", "status", "deployment/slmfleet", "--timeout=90s")
    operator.eventually(
        lambda: operator.leader() in operator.pods(), "a replica of the new ones leads", within=HANDOVER_SECONDS
    )
    assert {pod["metadata"]["uid"] for pod in before} < {pod["metadata"]["uid"] for pod in chat.pods("support")}


def _written(operator: Installation, pod: str) -> set[str]:
    """The kinds of objects that a replica wrote."""
    samples = operator.metric(pod, "slmfleet_writes_total")
    return {labels.partition('kind="')[2].partition('"')[0] for labels in samples if 'result="ok"' in labels}
