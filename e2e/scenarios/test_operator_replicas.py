"""Two replicas of the operator: one works, the other takes over."""

from datetime import datetime

from e2e.harness.api import Object
from e2e.harness.installation import START_SECONDS, Installation
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
LEASE_SECONDS = 15
"""After so long without a renewal a lease may be taken from its holder."""


def test_only_the_leader_writes(chat: Namespace, operator: Installation) -> None:
    chat.apply(MANIFEST)
    chat.becomes_ready("support")

    operator.complete()
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
    operator.complete()
    leader, records = operator.leader(), [operator.lease()]
    operator.kubectl("delete", "pod", leader, "--wait=false")

    def handed_over() -> bool:
        records.append(operator.lease())
        return _holder(records[-1]) not in {"", leader}

    operator.eventually(handed_over, "another replica has the lease", START_SECONDS)
    *_, last, first = records
    # A leader that stops in order gives the lease back; without that nobody has it before it has run out.
    assert (_time(first["acquireTime"]) - _time(last["renewTime"])).total_seconds() < LEASE_SECONDS, (last, first)
    assert first["leaseTransitions"] > records[0]["leaseTransitions"]

    operator.kubectl("rollout", "restart", "deployment/slmfleet")
    chat.kubectl("scale", "slm", "support", "--replicas=2")
    chat.becomes_ready("support")
    operator.works()
    assert {pod["metadata"]["uid"] for pod in before} < {pod["metadata"]["uid"] for pod in chat.pods("support")}


def _holder(lease: Object) -> str:
    """The pod's name; empty while nobody has it."""
    return str(lease.get("holderIdentity") or "").partition("_")[0]


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)


def _written(operator: Installation, pod: str) -> set[str]:
    """The kinds of objects that a replica wrote."""
    samples = operator.metric(pod, "slmfleet_writes_total")
    return {labels.partition('kind="')[2].partition('"')[0] for labels in samples if 'result="ok"' in labels}
