"""Pods end under clients that keep their connections: no request is lost, whatever vLLM does at SIGTERM."""

import pytest

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
    version: $version
    image: $simulator
    maxModelLen: 2048
  accelerator:
    class: cpu
  replicas: 2
  drain:
    timeout: 120s
  pod:
    resources:
      requests: {cpu: 50m, memory: 128Mi}
    env:
      - {name: SLMFLEET_SIM_VERSION, value: "$version"}
      - {name: SLMFLEET_SIM_DECODE_STEP_MS, value: "50"}
"""


@pytest.mark.parametrize(
    ("version", "rollouts"),
    [
        ("0.32.0", 3),
        ("0.17.1", 1),  # has no --shutdown-timeout: SIGTERM aborts what runs
    ],
)
def test_no_request_is_lost_in_rollouts_and_a_scale_down(chat: Namespace, version: str, rollouts: int) -> None:
    tally = _rolled_under_load(chat, MANIFEST.replace("$version", version), rollouts)

    assert tally.failures == [], f"{tally}: {tally.failures[:5]}"
    assert tally.streams > 20 * rollouts, str(tally)
    # Each client was moved off a draining pod about once per rollout, and told so.
    assert tally.told > 20 * rollouts, str(tally)


def test_without_the_guard_the_same_clients_lose_requests(chat: Namespace) -> None:
    unguarded = MANIFEST.replace("$version", "0.17.1").replace("timeout: 120s", "timeout: 5s")
    unguarded += "  guard: {enabled: false}\n"
    tally = _rolled_under_load(chat, unguarded, 1)
    assert tally.failures, f"the clients notice nothing: {tally}"
    assert tally.told == 0, str(tally)


def _rolled_under_load(chat: Namespace, manifest: str, rollouts: int) -> Tally:
    chat.apply(manifest)
    chat.becomes_ready("support")
    with (
        chat.service("support") as service,
        clients(service, "support", streaming=17, busy=17, idle=16) as tally,
    ):
        for length in range(2048 - rollouts, 2048):
            before = _uids(chat)
            chat.apply(manifest.replace("maxModelLen: 2048", f"maxModelLen: {length}"))
            chat.becomes("support", "Progressing", "UpToDate", within=180)
            assert not _uids(chat) & before
        chat.eventually(lambda: len(chat.objects("pod")) == 2, "the old pods are gone", within=180)
        chat.kubectl("scale", "slm", "support", "--replicas=1")
        chat.eventually(lambda: len(chat.objects("pod")) == 1, "the superfluous pod is gone", within=180)
    return tally


def _uids(chat: Namespace) -> set[str]:
    return {pod["metadata"]["uid"] for pod in chat.pods("support")}
