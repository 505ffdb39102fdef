"""Which pods an adapter's own Service selects, and how one leaves: the Service first, then the pod's table."""

from typing import Any

from slmfleet.core.types import Manifest
from tests.core.make import NOW

from .make import World, adapter, engine, engine_name, fleet, path, report

V1 = engine_name("v1")
LABEL = "adapter.slmfleet.dev/legal"
K_OF_N: dict[str, Any] = {"endpoint": {"service": True}, "placement": {"replicas": 2}}


def test_pods_that_serve_it_carry_the_label_of_its_service() -> None:
    world = World(adapter(endpoint={"service": True}))
    world.fetched()
    (service,) = [m for m in world.plan.apply if m["metadata"]["name"] == "legal-adapter"]
    assert service["spec"]["selector"] == {
        "slmfleet.dev/deployment": "support",
        "slmfleet.dev/traffic": "true",
        "adapter.slmfleet.dev/legal": "true",
    }
    assert service["metadata"]["ownerReferences"][0]["uid"] == "legal-uid"
    assert list(world.plan.patches) == []
    world.reported(report(["v1"], "v1"), "support-1")
    (patch,) = world.plan.patches
    assert (patch.ref.name, patch.labels, patch.about) == (
        "support-1",
        {"adapter.slmfleet.dev/legal": "true"},
        "adapters",
    )
    world.pods = (engine("support-1", labels={"adapter.slmfleet.dev/legal": "true"}), engine("support-2"))
    world.step()
    assert list(world.plan.patches) == []
    del world.adapters["legal"]
    world.step()
    assert world.plan.patches[0].labels == {}


def test_the_label_of_a_pod_that_ends_stays_for_the_requests_that_still_reach_it() -> None:
    world = World(adapter(endpoint={"service": True}), pods=[engine("support-1"), engine("support-2")])
    world.fetched()
    world.reported(report(["v1"], "v1"))
    ending = engine("support-1", labels={"adapter.slmfleet.dev/legal": "true"})
    ending["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    world.pods = (ending, engine("support-2", labels={"adapter.slmfleet.dev/legal": "true"}))
    world.step()
    assert list(world.plan.patches) == []


def pods(second: str) -> tuple[Manifest, ...]:
    """Two engines that serve it; the label of the second one."""
    labels = {LABEL: second} if second else {}
    return engine("support-1", labels={LABEL: "true"}), engine("support-2", labels=labels)


def ago(seconds: int) -> str:
    return str(int(NOW.timestamp()) - seconds)


def shrunk() -> World:
    """Of an adapter's two pods the second one is given up."""
    world = World(adapter(**K_OF_N), pods=pods("true"))
    world.fetched()
    world.reported(report(["v1"], "v1"))
    spec = K_OF_N | {"placement": {"replicas": 1}}
    world.adapters["legal"] = adapter(status=world.outcome().status, **spec)
    world.step()
    return world


def test_the_pod_leaves_the_service_and_keeps_the_adapter_until_every_node_knows() -> None:
    world = shrunk()
    (patch,) = world.plan.patches
    assert (patch.ref.name, patch.labels, patch.about) == ("support-2", {LABEL: ago(0)}, "adapters")
    assert world.table("support-2") == {V1: "legal"}
    stays, goes = (order.table["adapters"][V1] for order in world.plan.tables)
    assert stays == {"path": path("v1"), "alias": "legal"}
    assert goes == stays | {"leaving": True}
    assert world.plan.requeue_after == 5
    assert [pod["name"] for pod in world.outcome().status["pods"]] == ["support-1"]
    world.pods = pods(ago(4))
    world.step()
    assert (world.plan.patches, world.table("support-2"), world.plan.requeue_after) == ((), {V1: "legal"}, 1)
    world.pods = pods(ago(5))
    world.step()
    assert [(patch.ref.name, patch.labels) for patch in world.plan.patches] == [("support-2", {})]
    assert (world.table("support-1"), world.table("support-2")) == ({V1: "legal"}, {})
    world.pods = pods("")
    world.step()
    assert (world.plan.patches, world.table("support-2")) == ((), {})


def test_a_pod_that_is_chosen_again_is_back_at_once() -> None:
    world = shrunk()
    world.pods = pods(ago(2))
    world.adapters["legal"] = adapter(status=world.outcome().status, **K_OF_N)
    world.step()
    assert [(patch.ref.name, patch.labels) for patch in world.plan.patches] == [("support-2", {LABEL: "true"})]
    assert world.table("support-2") == {V1: "legal"}


def test_what_takes_its_slot_waits_until_it_is_gone() -> None:
    world = World(adapter(**K_OF_N), slm=fleet(maxAdapters=1, maxCpuAdapters=1), pods=pods("true"))
    world.fetched()
    world.reported(report(["v1"], "v1"))
    older = adapter("tax", servedName="tax", source={"uri": "image:///opt/adapters/tax"})
    older["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    world.adapters["tax"] = older
    world.step()
    (asked,) = world.plan.inspections
    world.inspected[asked.key] = {"digest": f"sha256:{'f' * 64}", "base": "Qwen/Qwen3-8B", "rank": 8}
    world.step()
    assert [patch.labels for patch in world.plan.patches] == [{LABEL: ago(0)}] * 2
    assert world.table("support-1") == world.table("support-2") == {V1: "legal"}
    world.pods = tuple(engine(name, labels={LABEL: ago(5)}) for name in ("support-1", "support-2"))
    world.step()
    assert world.table("support-1") == world.table("support-2") == {f"tax@{'f' * 12}": "tax"}


def test_without_a_service_of_its_own_nobody_is_sent_there_and_it_goes_at_once() -> None:
    world = World(adapter(placement={"replicas": 2}))
    world.fetched()
    world.reported(report(["v1"], "v1"))
    world.adapters["legal"] = adapter(status=world.outcome().status, placement={"replicas": 1})
    world.step()
    assert (world.plan.patches, world.table("support-2")) == ((), {})


def test_what_the_pod_has_anyway_keeps_its_place_beside_what_goes() -> None:
    world = World(adapter(**K_OF_N), adapter("tax"), slm=fleet(maxAdapters=2, maxCpuAdapters=2), pods=pods("true"))
    world.fetched()
    both = report(["v1"], "v1")
    both["adapters"][engine_name("v1", "tax")] = {"path": path("v1"), "state": "Loaded"}
    both["aliases"]["tax"] = engine_name("v1", "tax")
    world.reported(both)
    spec = K_OF_N | {"placement": {"replicas": 1}}
    world.adapters["legal"] = adapter(status=world.outcome().status, **spec)
    world.step()
    assert world.table("support-2") == {V1: "legal", engine_name("v1", "tax"): "tax"}
