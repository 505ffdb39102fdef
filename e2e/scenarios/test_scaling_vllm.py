"""The real vLLM, on its own metrics: from one replica to two and back.

Few requests at a time: on two cores a second engine starts slowly beside one that computes.
"""

import pytest

from e2e.harness.clients import clients
from e2e.harness.images import Images
from e2e.harness.installation import Installation
from e2e.harness.namespace import ENGINE_SECONDS, Namespace

from .scaling import HASTY, NAME, events, reaches, replicas, scale_bounds, scaling, told

LENGTHS = (60, 120, 240)
"""Tokens of the answers. One is answered at a time: the last of three clients waits for the other two, which must not
wear out its patience on a busy machine."""
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
    image: $engine
    maxModelLen: 1024
    maxNumSeqs: 1
    enforceEager: true
  accelerator:
    class: cpu
  scaling: {minReplicas: 1, maxReplicas: 2, targets: {queueDepth: 1}}
  drain:
    timeout: 60s
  pod:
    resources:
      requests: {cpu: 200m, memory: 1Gi}
    env:
      - {name: VLLM_CPU_KVCACHE_SPACE, value: "1"}
"""


@pytest.mark.vllm
def test_a_queue_in_the_real_vllm_brings_a_second_one_which_goes_again(
    chat: Namespace, operator: Installation, images: Images
) -> None:
    with operator.upgraded(images.operator, HASTY):
        chat.apply(MANIFEST)
        chat.becomes_ready(NAME, within=ENGINE_SECONDS)
        with (
            chat.service(NAME) as service,
            clients(service, NAME, streaming=3, busy=0, idle=0, pause=0.5, lengths=LENGTHS) as tally,
        ):
            reaches(chat, 2)
            # The Deployment is written first, then what led to it.
            chat.eventually(lambda: _kv_capacity(chat) > 0, "the engine's KV cache is known")
        # By itself the second one would go when the peak is five minutes ago, started or not.
        scale_bounds(chat, minReplicas=2)
        chat.eventually(lambda: chat.get("slm", NAME)["status"]["ready"] == "2/2", "both answer", within=ENGINE_SECONDS)
        with (
            chat.service(NAME) as service,
            clients(service, NAME, streaming=1, busy=1, idle=1, pause=0.5, lengths=LENGTHS) as later,
        ):
            chat.eventually(lambda: later.requests > 4, "clients are answered")
            scale_bounds(chat, minReplicas=1, maxReplicas=1)
            chat.eventually(lambda: replicas(chat) == 1, "one is left")
        chat.eventually(lambda: len(chat.objects("pod")) == 1, "the second one is gone")
        assert (tally.failures, later.failures) == ([], []), f"{tally} {later}"
        assert tally.requests > 0, str(tally)
        assert events(chat, "ScaledUp"), told(chat)
        assert events(chat, "ScaledDown"), told(chat)


def _kv_capacity(chat: Namespace) -> float:
    return float((scaling(chat).get("learned") or {}).get("kvCapacity", 0.0))
