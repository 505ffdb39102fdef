"""An adapter of a number of pods, while pods come, go and are emptied."""

import json

import pytest

from slmfleet.core.autoscale.advice import Advice, PodLoad
from slmfleet.core.autoscale.decision import Decision
from tests.core.make import NOW

from .make import World, adapter, engine, engine_name, path, report

V1 = engine_name("v1")


def test_a_number_of_replicas_is_placed_and_stays() -> None:
    world = World(adapter(placement={"replicas": 1}), pods=[engine("support-1"), engine("support-2")])
    world.fetched()
    assert (world.table(), world.table("support-2")) == ({V1: "legal"}, {})
    (table,) = [m for m in world.plan.apply if m["metadata"]["name"] == "support-adapters"]
    entry = {"path": path("v1"), "alias": "legal", "pods": ["support-1"]}
    assert json.loads(table["data"]["table.json"]) == {"adapters": {}, "placed": {V1: entry}}
    world.pods = (engine("support-0"), *world.pods)
    world.step()
    assert world.table("support-0") == {}
    world.pods = (engine("support-0"), engine("support-2"))
    world.step()
    assert world.table("support-0") == {V1: "legal"}


def test_a_pod_that_is_emptied_hands_its_adapter_on_before_it_goes() -> None:
    world = World(adapter(placement={"replicas": 1}), pods=[engine("support-1"), engine("support-2")])
    world.fetched()
    world.reported(report(["v1"], "v1"), "support-1")
    world.pods = (engine("support-1", labels={"slmfleet.dev/traffic": "false"}), engine("support-2"))
    world.reported(report(), "support-2")
    assert (world.table("support-1"), world.table("support-2")) == ({V1: "legal"}, {V1: "legal"})
    assert (world.outcome().status["loaded"], world.condition("Loaded")) == ("0/1", ("False", "Loading"))
    world.reported(report(["v1"], "v1"), "support-2")
    assert (world.outcome().status["loaded"], world.condition("Ready")) == ("1/1", ("True", "Ready"))


def scaled_down() -> World:
    """One of two idle pods is to go: the one that an adapter of one pod is on has been out of the Service for 9 s."""
    world = World(adapter(placement={"replicas": 1}))
    world.slm = world.slm | {"spec": world.slm["spec"] | {"scaling": {"minReplicas": 2, "maxReplicas": 4}}}
    world.fetched()
    world.reported(report(["v1"], "v1"), "support-1")
    world.reported(report(), "support-2")
    labels = {"slmfleet.dev/traffic": "false", "slmfleet.dev/draining-since": f"{NOW.timestamp() - 9:.0f}"}
    world.pods = (engine("support-1", labels=labels), engine("support-2"))
    loads = {"support-1-uid": PodLoad(0, 0), "support-2-uid": PodLoad(0, 0)}
    world.advice = Advice(Decision(1, "work", "one is enough", (), None), loads=loads)
    return world


def replicas(world: World) -> int:
    (deployment,) = [m for m in world.plan.apply if m["kind"] == "Deployment"]
    return int(deployment["spec"]["replicas"])


def test_the_replicas_shrink_when_the_adapter_that_only_the_emptied_pod_had_is_on_another() -> None:
    world = scaled_down()
    world.step()
    assert (world.table(), world.table("support-2"), replicas(world)) == ({V1: "legal"}, {V1: "legal"}, 2)
    world.reported(report(["v1"], "v1"), "support-2")
    assert replicas(world) == 1


def test_an_operator_that_has_asked_nobody_yet_waits_by_what_was_told() -> None:
    world = scaled_down()
    world.reports.clear()
    world.step()
    assert replicas(world) == 2


def test_the_pod_without_an_adapter_of_a_number_of_pods_goes_first() -> None:
    world = scaled_down()
    world.pods = (engine("support-1"), engine("support-2"))
    world.step()
    assert [(patch.ref.name, patch.labels["slmfleet.dev/traffic"]) for patch in world.plan.patches] == [
        ("support-2", "false")
    ]


def test_an_adapter_is_placed_by_the_requests_that_guards_count() -> None:
    world = World(adapter(placement={"replicas": 1}))
    world.fetched()
    busy = report(["v1"], "v1")
    busy["adapters"][V1]["running"] = 3
    world.reported(busy, "support-1")
    world.reported(report(), "support-2")
    for name in ("tax-1", "tax-2"):
        world.adapters[name] = adapter(name, placement={"replicas": 1})
    world.fetched()
    assert world.table().keys() == {V1}
    assert world.table("support-2").keys() == {engine_name("v1", "tax-1"), engine_name("v1", "tax-2")}


def test_a_pod_whose_guard_says_nothing_is_not_taken_for_an_idle_one() -> None:
    world = World(adapter(placement={"replicas": 1}))
    world.reported({"error": "connection refused"}, "support-1")
    world.reported(report(), "support-2")
    world.fetched()
    assert (world.table(), world.table("support-2")) == ({}, {V1: "legal"})


@pytest.mark.parametrize("running", ["many", [], 10**400, float("inf"), -5])
def test_no_number_that_a_guard_may_tell_stops_the_placement(running: object) -> None:
    world = World(adapter(placement={"replicas": 1}), adapter("tax", placement={"replicas": 1}))
    world.fetched()
    told = report(["v1"], "v1")
    told["adapters"][V1]["running"] = running
    world.reported(told, "support-1")
    assert V1 in world.table()


def test_when_the_number_shrinks_the_pod_that_answers_keeps_the_adapter() -> None:
    busy = adapter("busy", servedName="busy", placement={"replicas": 1})
    world = World(busy, adapter(placement={"replicas": 2}))
    world.fetched()
    assert (V1 in world.table("support-2"), len(world.table()), len(world.table("support-2"))) == (True, 2, 1)
    world.reported(report(["v1"], "v1"), "support-1")
    world.adapters["legal"] = adapter(placement={"replicas": 1}, status=world.outcome().status)
    world.step()
    assert (V1 in world.table(), V1 in world.table("support-2")) == (True, False)
