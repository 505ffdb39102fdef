"""Who may wake a fleet, and what everybody else is told."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from slmfleet.kube.errors import TransientError
from slmfleet.kube.resources import Key, Manifest, Resource
from slmfleet.metrics.registry import Metrics
from slmfleet.runtime.server import application
from slmfleet.runtime.wake import Wake, reviewer
from tests.kube.fake import FakeClient

TOKEN = {"Authorization": "Bearer good"}


class Reviews(FakeClient):
    """An API server that knows the token `good` of the gateway, which may wake fleets of the namespace chat."""

    def __init__(self, *, broken: bool = False, audiences: tuple[str, ...] = ("slmfleet.dev",)) -> None:
        super().__init__()
        self.bodies: list[Manifest] = []
        self.broken = broken
        self.audiences = audiences

    async def create(self, resource: Resource, namespace: str, manifest: Manifest, *, within: float) -> Manifest:
        self.bodies.append(manifest["spec"])
        if self.broken:
            raise TransientError("no answer")
        spec = manifest["spec"]
        if resource.kind == "TokenReview":
            user = {"username": "system:serviceaccount:gw:gateway", "groups": ["system:authenticated"]}
            good = spec["token"] == "good"
            return {"status": {"authenticated": good, "user": user, "audiences": list(self.audiences)}}
        return {"status": {"allowed": spec["resourceAttributes"]["namespace"] == "chat"}}


@dataclass
class Operator:
    client: Reviews = field(default_factory=Reviews)
    woken: list[tuple[Key, int]] = field(default_factory=list)
    leads: bool = True

    def wake(self, key: Key, requests: int) -> bool:
        self.woken.append((key, requests))
        return key[1] == "support"

    async def post(self, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, Any]:
        wake = Wake(reviewer(self.client), self.wake, lambda: self.leads)
        app = application(lambda: (), lambda: "leading", Metrics("1"), wake)
        async with TestClient(TestServer(app)) as http:
            response = await http.post(path, data=body, headers=TOKEN if headers is None else headers)
            return response.status, await response.json()


async def test_who_may_wakes_a_fleet_with_the_requests_that_wait() -> None:
    operator = Operator()
    assert await operator.post("/wake/chat/support", b'{"requests": 7}') == (202, {"requests": 7})
    assert operator.woken == [(("chat", "support"), 7)]
    token, access = operator.client.bodies
    assert token == {"token": "good", "audiences": ["slmfleet.dev"]}
    assert access["user"] == "system:serviceaccount:gw:gateway"
    assert access["resourceAttributes"] == {
        "group": "slmfleet.dev",
        "resource": "slmdeployments",
        "subresource": "wake",
        "verb": "create",
        "namespace": "chat",
        "name": "support",
    }


async def test_a_call_without_a_body_stands_for_one_request() -> None:
    assert await Operator().post("/wake/chat/support") == (202, {"requests": 1})


async def test_an_alert_on_a_metric_stands_for_one_request() -> None:
    alert = {"status": "firing", "labels": {"alertname": "RequestsWait"}, "annotations": {"summary": "x" * 2000}}
    webhook = {"version": "4", "receiver": "wake-support", "status": "firing", "truncatedAlerts": 0, "alerts": [alert]}
    operator = Operator()
    assert await operator.post("/wake/chat/support", json.dumps(webhook).encode()) == (202, {"requests": 1})
    assert operator.woken == [(("chat", "support"), 1)]


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        ("/wake/chat/support", {}, 401, "send a token"),
        ("/wake/chat/support", {"Authorization": "Basic good"}, 401, "send a token"),
        ("/wake/chat/support", {"Authorization": "Bearer "}, 401, "send a token"),
        ("/wake/chat/support", {"Authorization": "Bearer " + "x" * 8000}, 401, "the token is not valid"),
        ("/wake/chat/support", {"Authorization": "Bearer bad"}, 401, "the token is not valid"),
        ("/wake/rag/support", TOKEN, 403, "you may not create slmdeployments/wake in namespace rag"),
        ("/wake/chat/nobody", TOKEN, 404, "no SLMDeployment nobody in namespace chat"),
    ],
)
async def test_everybody_else_is_told_why_not(path: str, headers: dict[str, str], status: int, words: str) -> None:
    operator = Operator()
    found, answer = await operator.post(path, headers=headers)
    assert found == status
    assert words in answer["error"]
    assert operator.woken == ([] if status != 404 else [(("chat", "nobody"), 1)])


@pytest.mark.parametrize("audiences", [(), ("https://kubernetes.default.svc",)])
async def test_a_token_for_somebody_else_counts_for_nothing(audiences: tuple[str, ...]) -> None:
    operator = Operator(Reviews(audiences=audiences))
    assert (await operator.post("/wake/chat/support"))[0] == 401


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b'{"requests": 0}',
        b'{"requests": true}',
        b'{"requests": "1"}',
        b'{"requests": 1000001}',
        b" " * 70_000,
    ],
)
async def test_a_body_that_makes_no_sense_is_400(body: bytes) -> None:
    operator = Operator()
    status, answer = await operator.post("/wake/chat/support", body)
    assert (status, operator.woken) == (400, [])
    assert "the body must be empty or" in answer["error"]


@pytest.mark.parametrize("operator", [Operator(leads=False), Operator(Reviews(broken=True))])
async def test_who_cannot_say_asks_for_another_try(operator: Operator) -> None:
    assert (await operator.post("/wake/chat/support"))[0] == 503
    assert operator.woken == []


async def test_a_standby_asks_nobody_about_tokens() -> None:
    operator = Operator(leads=False)
    await operator.post("/wake/chat/support")
    assert operator.client.bodies == []
