"""Replicas follow the load, say why, and nobody loses a request.

The operator takes replicas away soon after its start here; the default waits for four minutes of load.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException

import pytest

from e2e.harness.api import Object
from e2e.harness.clients import KeepAlive, Tally, clients
from e2e.harness.images import Images
from e2e.harness.installation import TAKEOVER_SECONDS, Installation
from e2e.harness.metrics_api import external_metric
from e2e.harness.namespace import PATIENCE_SECONDS, Namespace
from e2e.harness.openai import Endpoint
from e2e.harness.reach import reach

from .scaling import HASTY, NAME, events, manifest, reaches, replicas, running, scale_bounds, scaling, told, wake

LABEL = "slmfleet.dev/traffic"
FAULT = "guard: {extraRoutes: [POST /sim/fault]}"


@pytest.fixture(scope="module", autouse=True)
def hasty(operator: Installation, images: Images) -> Iterator[None]:
    """An operator that does not wait for minutes of load before it takes a replica away."""
    with operator.upgraded(images.operator, HASTY):
        yield


def test_a_step_of_load_is_answered_at_once_and_nobody_loses_a_request_on_the_way_up_and_down(chat: Namespace) -> None:
    chat.apply(manifest("minReplicas: 1, maxReplicas: 3, targets: {queueDepth: 2}"))
    chat.becomes_ready(NAME)
    with chat.service(NAME) as service, clients(service, NAME, streaming=6, busy=6, idle=2, pause=0.1) as first:
        seconds = reaches(chat, 2, within=20)
        assert seconds < 6, told(chat)
        chat.eventually(lambda: chat.get("slm", NAME)["status"]["ready"] == "3/3", "all replicas answer")
        chat.eventually(lambda: events(chat, "ScaledUp"), "an event says why there are more")
        # Connections stay where they are: only later clients meet the later replicas.
        with clients(service, NAME, streaming=8, busy=8, idle=4, pause=0.1) as second:
            chat.eventually(lambda: second.streams > 4, "streams run on all replicas")
            scale_bounds(chat, maxReplicas=1)
            chat.eventually(lambda: _without_traffic(chat), "a replica leaves the Service before it goes")
            chat.eventually(lambda: replicas(chat) == 1, "one replica is left")
            chat.eventually(lambda: len(chat.objects("pod")) == 1, "the others are gone")
    assert (first.failures, second.failures) == ([], []), f"{first} {second}"
    assert second.told > 0, f"nobody was moved: {second}"
    assert scaling(chat)["changes"][0]["to"] == 1, told(chat)
    assert events(chat, "ScaledDown"), told(chat)


def test_a_replica_that_was_emptied_is_put_back_when_the_load_returns(chat: Namespace) -> None:
    chat.apply(manifest("minReplicas: 2, maxReplicas: 2", DECODE_STEP_MS=100))
    chat.becomes_ready(NAME)
    before, (one, other) = _uids(chat), chat.pods(NAME)
    with _streams(chat, one) as first, _streams(chat, other) as second:
        chat.eventually(lambda: running(chat, one) and running(chat, other), "both replicas are busy")
        scale_bounds(chat, minReplicas=1, maxReplicas=1)
        (emptied,) = chat.eventually(lambda: _without_traffic(chat), "a replica is being emptied")
        scale_bounds(chat, minReplicas=2, maxReplicas=2)
        chat.eventually(lambda: not _without_traffic(chat), "it is in the Service again")
        chat.eventually(lambda: not _since(chat), "its guard has confirmed")
        with reach(chat.cluster, chat.name, f"pod/{emptied}", 8000) as pod:
            token = chat.guard_token(NAME)
            assert pod.call("GET", "/slmfleet/drain", {}, X_Slmfleet_Token=token) == (200, {"draining": False})
    assert (first.failures, second.failures) == ([], []), f"{first} {second}"
    assert _uids(chat) == before


def test_engines_that_cannot_be_read_are_said_and_one_that_hangs_is_replaced(chat: Namespace) -> None:
    chat.apply(manifest("minReplicas: 2, maxReplicas: 2", extra=FAULT))
    chat.becomes_ready(NAME)
    deaf, hung = chat.pods(NAME)
    _fault(chat, deaf, metrics="error")
    chat.eventually(lambda: _half_is_silent(chat), "the one that cannot be read is told")
    scale_bounds(chat, minReplicas=1)
    chat.eventually(lambda: _half_is_silent(chat), "so it is with the changed bounds")
    time.sleep(5)
    assert replicas(chat) == 2, "on half of the data nothing is taken away"
    scale_bounds(chat, minReplicas=2)
    _fault(chat, deaf, metrics="ok")
    chat.eventually(lambda: chat.condition(NAME, "ScalingActive").reason == "Scaling", "both are read again")

    with reach(chat.cluster, chat.name, f"pod/{hung['metadata']['name']}", 8000) as pod:
        asking = threading.Thread(target=_ask, args=(pod,), daemon=True)
        asking.start()
        chat.eventually(lambda: running(chat, hung), "an answer is on its way")
        _fault(chat, hung, stall=True)
        chat.eventually(lambda: hung["metadata"]["uid"] not in _uids(chat), "it is replaced")
        # The event comes after the deletion.
        (note,) = chat.eventually(lambda: events(chat, "EngineHung"), "an event says why")
        assert hung["metadata"]["name"] in note
        chat.becomes_ready(NAME)
        asking.join(60)


def test_a_killed_operator_is_followed_by_one_that_goes_on_scaling(chat: Namespace, operator: Installation) -> None:
    chat.apply(manifest("minReplicas: 1, maxReplicas: 2, targets: {queueDepth: 2}", START_SECONDS=6))
    chat.becomes_ready(NAME)
    operator.complete()
    with chat.service(NAME) as service, clients(service, NAME, streaming=4, busy=6, idle=0, pause=0.1) as tally:
        reaches(chat, 2)
        operator.kill(operator.leader())
        chat.eventually(lambda: chat.get("deployment", NAME)["status"].get("readyReplicas") == 2, "both are ready")
        chat.eventually(
            lambda: chat.get("slm", NAME)["status"]["ready"] == "2/2",
            "a successor says so",
            TAKEOVER_SECONDS + PATIENCE_SECONDS,
        )
        assert replicas(chat) == 2
    assert tally.failures == [], str(tally)


def test_a_fleet_without_replicas_is_woken_by_whom_rbac_lets(chat: Namespace, operator: Installation) -> None:
    chat.apply(manifest("maxReplicas: 4, minReplicas: 0, scaleToZero: {idleAfter: 10s}"))
    chat.becomes_ready(NAME)
    chat.eventually(lambda: chat.get("slm", NAME)["status"]["phase"] == "ScaledToZero", "nothing runs")
    assert "no request for 10 s" in events(chat, "ScaledDown")[0]
    assert chat.condition(NAME, "Available").reason == "ScaledToZero"
    chat.kubectl("create", "serviceaccount", "gateway")
    token = chat.kubectl("create", "token", "gateway", "--audience", "slmfleet.dev").strip()
    for_the_api = chat.kubectl("create", "token", "gateway").strip()

    assert wake(operator, chat.name, for_the_api)[0] == 401
    assert wake(operator, chat.name, token)[0] == 403
    chat.kubectl("create", "role", "wake", "--verb=create", "--resource=slmdeployments.slmfleet.dev/wake")
    chat.kubectl("create", "rolebinding", "wake", "--role=wake", f"--serviceaccount={chat.name}:gateway")
    began = time.monotonic()
    chat.eventually(lambda: wake(operator, chat.name, token)[0] == 202, "RBAC lets it")
    reaches(chat, 1, within=5)
    chat.becomes_ready(NAME)
    assert time.monotonic() - began < 25
    assert "wait for a fleet without replicas" in events(chat, "ScaledUp")[0]


def test_a_shadow_only_says_what_it_would_do(chat: Namespace) -> None:
    chat.apply(manifest("maxReplicas: 4, mode: Shadow, targets: {queueDepth: 1}"))
    chat.becomes_ready(NAME)
    with chat.service(NAME) as service, clients(service, NAME, streaming=2, busy=8, idle=0, pause=0.1) as tally:
        chat.eventually(lambda: scaling(chat)["desired"] > 1, "more would run")
        assert chat.becomes(NAME, "ScalingActive", "Shadow").status == "False"
        chat.eventually(lambda: events(chat, "WouldScale"), "an event says so")
        assert (replicas(chat), chat.get("slm", NAME)["status"]["desiredReplicas"]) == (1, 1)
        chat.kubectl("scale", "slm", NAME, "--replicas=2")  # whoever decides beside a shadow still does
        chat.eventually(lambda: replicas(chat) == 2, "spec.replicas decides")
    assert tally.failures == [], str(tally)


# The metric for each replica: the same number of them is right before and after they are ready, whenever the HPA looks.
HPA = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: support}
spec:
  scaleTargetRef: {apiVersion: slmfleet.dev/v1alpha1, kind: SLMDeployment, name: support}
  minReplicas: 1
  maxReplicas: 3
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
  metrics:
    - {type: External, external: {metric: {name: queue}, target: {type: AverageValue, averageValue: "4"}}}
"""


def test_an_hpa_scales_a_fixed_fleet_and_is_told_when_scaling_decides(chat: Namespace) -> None:
    """The HPA of Kubernetes itself, which reads its metric and writes /scale every 15 s."""
    chat.apply(manifest("maxReplicas: 4, mode: Shadow"))
    chat.becomes_ready(NAME)
    with external_metric(chat) as put:
        put(8)
        chat.apply(HPA)
        chat.eventually(lambda: replicas(chat) == 2, "the HPA asks for two replicas for twice its target")
        chat.becomes_ready(NAME)
        assert chat.get("slm", NAME)["spec"]["replicas"] == 2
        put(1)
        chat.eventually(lambda: replicas(chat) == 1, "the HPA takes one away")

        chat.patch(NAME, {"scaling": {"mode": "Active"}})
        put(12)
        refused = chat.eventually(lambda: _hpa(chat, "AbleToScale", "FailedUpdateScale"), "the HPA is refused")
        assert "spec.scaling decides the replicas: remove it, or the HPA/KEDA that writes them" in refused
        assert chat.get("slm", NAME)["spec"]["replicas"] == 1

        chat.patch(NAME, {"scaling": None})
        chat.eventually(lambda: replicas(chat) == 3, "the HPA decides again")


def _hpa(chat: Namespace, kind: str, reason: str) -> str:
    """The message of a condition of the HPA; empty while it has another reason."""
    conditions = chat.get("horizontalpodautoscaler", NAME).get("status", {}).get("conditions", [])
    return next((c["message"] for c in conditions if (c["type"], c["reason"]) == (kind, reason)), "")


def _without_traffic(chat: Namespace) -> list[str]:
    """The pods that were taken out of the Service."""
    return [p["metadata"]["name"] for p in chat.pods(NAME) if p["metadata"]["labels"][LABEL] == "false"]


def _since(chat: Namespace) -> list[Object]:
    return [p for p in chat.pods(NAME) if "slmfleet.dev/draining-since" in p["metadata"]["labels"]]


def _fault(chat: Namespace, pod: Object, **fault: object) -> None:
    with reach(chat.cluster, chat.name, f"pod/{pod['metadata']['name']}", 8000) as endpoint:
        status, answer = endpoint.call("POST", "/sim/fault", fault)
    assert status == 200, answer


def _ask(pod: Endpoint) -> None:
    """A long answer, of which the end never comes."""
    client = KeepAlive(pod, Tally())
    with suppress(OSError, HTTPException):
        client.chat(NAME, 1500, stream=True)
    client.close()


@contextmanager
def _streams(chat: Namespace, pod: Object) -> Iterator[Tally]:
    """Two clients of one replica, whose answers take half a minute: it is not empty before it is put back."""
    with (
        reach(chat.cluster, chat.name, f"pod/{pod['metadata']['name']}", 8000) as endpoint,
        clients(endpoint, NAME, streaming=2, busy=0, idle=0, pause=0.1, lengths=(300,)) as tally,
    ):
        yield tally


def _half_is_silent(chat: Namespace) -> bool:
    """Whether ScalingActive says so of the present spec; before the first look it has the same reason."""
    said = chat.condition(NAME, "ScalingActive")
    assert (said.status, said.reason) == ("False", "NoSignals"), " ".join(said)
    assert said.message.startswith("1 of 2 engines cannot be read"), said.message
    return True


def _uids(chat: Namespace) -> set[str]:
    return {pod["metadata"]["uid"] for pod in chat.pods(NAME)}
