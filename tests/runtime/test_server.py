from aiohttp.test_utils import TestClient, TestServer

from slmfleet.metrics.registry import MAX_CONDITIONS, Metrics
from slmfleet.runtime.server import application
from slmfleet.runtime.wake import Wake, reviewer
from tests.kube.fake import FakeClient


async def get(path: str, *, troubles: tuple[str, ...] = (), metrics: Metrics | None = None) -> tuple[int, str]:
    wake = Wake(reviewer(FakeClient()), lambda *_: False, lambda: False)
    app = application(lambda: troubles, lambda: "standing by", metrics or Metrics("1.2.3"), wake)
    async with TestClient(TestServer(app)) as client:
        response = await client.get(path)
        return response.status, await response.text()


async def test_a_process_without_troubles_is_healthy() -> None:
    assert await get("/healthz") == (200, "ok\n")


async def test_a_process_that_a_restart_would_help_says_why() -> None:
    assert await get("/healthz", troubles=("the queue is stuck", "a watch is deaf")) == (
        503,
        "the queue is stuck\na watch is deaf\n",
    )


async def test_a_standby_is_ready() -> None:
    assert await get("/readyz") == (200, "standing by\n")


async def test_metrics_are_read_when_a_scrape_asks_for_them() -> None:
    metrics = Metrics("1.2.3")
    conditions = [("chat", "support", "Ready", "True")]
    metrics.conditions(lambda: conditions)
    metrics.watch_restarts(lambda: [("pods", "expired", 2)])
    metrics.gauge("queue_depth", "x", lambda: 3)
    metrics.wrote("Service", "apply", "unchanged")
    _, text = await get("/metrics", metrics=metrics)
    for line in (
        'slmfleet_condition{name="support",namespace="chat",status="True",type="Ready"} 1.0',
        'slmfleet_watch_restarts_total{reason="expired",resource="pods"} 2.0',
        "slmfleet_queue_depth 3.0",
        'slmfleet_writes_total{kind="Service",result="unchanged",verb="apply"} 1.0',
        'slmfleet_build_info{version="1.2.3"} 1.0',
    ):
        assert line in text.splitlines()
    conditions.clear()
    _, text = await get("/metrics", metrics=metrics)
    assert "slmfleet_condition{" not in text


def test_the_conditions_of_a_scrape_are_bounded() -> None:
    metrics = Metrics("1.2.3")
    metrics.conditions(lambda: (("chat", f"s{n}", "Ready", "True") for n in range(MAX_CONDITIONS + 5)))
    assert metrics.expose().count(b"slmfleet_condition{") == MAX_CONDITIONS
