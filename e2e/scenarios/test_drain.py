"""Pods end under clients that keep their connections: no request is lost, whatever vLLM does at SIGTERM."""

from collections.abc import Iterator
from contextlib import contextmanager

from e2e.harness.clients import Tally, clients
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
  replicas: 2
  rollout: {maxSurge: 2}
  drain:
    timeout: 120s
  pod:
    resources:
      requests: {cpu: 50m, memory: 128Mi}
    env:
      - {name: SLMFLEET_SIM_VERSION, value: 0.32.0}
      - {name: SLMFLEET_SIM_DECODE_STEP_MS, value: "50"}
"""
# It has no --shutdown-timeout: SIGTERM aborts what runs.
ABORTING = MANIFEST.replace("0.32.0", "0.17.1")
LENGTHS = (10, 40, 200, 400)
"""Tokens of the streams. The longest takes 20 s, and a pod drains for 12 at least."""


def test_no_request_is_lost_in_three_rollouts_and_a_scale_down(chat: Namespace) -> None:
    with _under_load(chat, MANIFEST) as tally:
        _roll(chat, _shorter(MANIFEST))
        _roll(chat, ABORTING)
        _roll(chat, _shorter(ABORTING))
        chat.kubectl("scale", "slm", "support", "--replicas=1")
        chat.eventually(lambda: len(chat.objects("pod")) == 1, "the other pods are gone", within=300)

    assert tally.failures == [], f"{tally}: {tally.failures[:5]}"
    assert tally.streams > 60, str(tally)
    # Each client was moved off a draining pod about once per rollout, and told so.
    assert tally.told > 60, str(tally)


def test_without_the_guard_the_same_clients_lose_requests(chat: Namespace) -> None:
    unguarded = ABORTING.replace("timeout: 120s", "timeout: 5s") + "  guard: {enabled: false}\n"
    with _under_load(chat, unguarded) as tally:
        _roll(chat, _shorter(unguarded))
        chat.eventually(lambda: tally.failures, "a client loses a request")

    assert tally.told == 0, str(tally)


@contextmanager
def _under_load(chat: Namespace, manifest: str) -> Iterator[Tally]:
    """Two replicas and fifty clients."""
    chat.apply(manifest)
    chat.becomes_ready("support")
    with (
        chat.service("support") as service,
        clients(service, "support", streaming=17, busy=17, idle=16, lengths=LENGTHS) as tally,
    ):
        yield tally


def _shorter(manifest: str) -> str:
    return manifest.replace("maxModelLen: 2048", "maxModelLen: 2047")


def _roll(chat: Namespace, manifest: str) -> None:
    """Until all pods are new; the old ones may still drain."""
    before = _uids(chat)
    chat.apply(manifest)
    chat.becomes("support", "Progressing", "UpToDate")
    assert len(_uids(chat) - before) == 2
    assert not _uids(chat) & before


def _uids(chat: Namespace) -> set[str]:
    return {pod["metadata"]["uid"] for pod in chat.pods("support")}
