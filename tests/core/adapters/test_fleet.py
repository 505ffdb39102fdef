"""From a LoRAAdapter to tables, step by step, through plan()."""

import json

from .make import World, adapter, engine, engine_name, path, ready, report

V1, V2 = engine_name("v1"), engine_name("v2")


def test_an_adapter_is_fetched_then_loaded_then_served() -> None:
    world = World(adapter())
    world.step()
    assert world.condition("Fetched") == ("False", "Fetching")
    assert world.outcome().status["phase"] == "Fetching"
    assert world.table() == {}
    world.fetched()
    assert world.condition("Fetched") == ("True", "Fetched")
    assert world.outcome().status["phase"] == "Loading"
    assert world.table() == world.table("support-2") == {V1: "legal"}
    world.reported(report(["v1"], "v1"), "support-1")
    assert world.condition("Loaded") == ("False", "Loading")
    assert world.condition("Available") == ("True", "Serving")
    world.reported(report(["v1"], "v1"))
    status = world.outcome().status
    assert (status["phase"], status["loaded"], status["rank"], status["version"]) == ("Ready", "2/2", 8, "111111111111")
    assert [(pod["name"], pod["state"], pod["serving"]) for pod in status["pods"]] == [
        ("support-1", "Loaded", "111111111111"),
        ("support-2", "Loaded", "111111111111"),
    ]


def test_the_table_says_where_the_files_are_and_starting_engines_find_it_too() -> None:
    world = ready()
    wanted = {"adapters": {V1: {"path": path("v1"), "alias": "legal"}}}
    assert world.plan.tables[0].table == wanted
    assert (world.plan.tables[0].address, world.plan.tables[0].incarnation) == ("10.0.0.1", "c1")
    (table,) = [m for m in world.plan.apply if m["metadata"]["name"] == "support-adapters"]
    assert json.loads(table["data"]["table.json"]) == wanted


def test_without_adapters_there_is_no_table_to_find_and_pods_are_told_to_have_none() -> None:
    world = World()
    world.step()
    assert world.table() == {}
    assert not [m for m in world.plan.apply if m["metadata"]["name"] == "support-adapters"]
    assert "AdaptersReady" not in {c["type"] for c in world.plan.status["conditions"]}


def test_a_new_version_is_fetched_and_loaded_while_the_old_one_serves() -> None:
    world = ready()
    world.adapters["legal"] = adapter(version="v2", status=world.outcome().status)
    world.step()
    assert world.table() == {V1: "legal"}
    assert (world.outcome().status["phase"], world.outcome().status["rank"]) == ("Updating", 8)
    world.fetched("v2")
    assert world.table() == {V1: "legal", V2: None}
    assert world.message("Loaded").endswith("version 111111111111 serves until then")
    world.reported(report(["v1", "v2"], "v1"))
    assert world.table() == {V2: "legal", V1: None}
    assert world.outcome().status["movedAt"] == "2026-01-02T03:04:05Z"
    assert world.plan.requeue_after == 60
    world.reported(report(["v1", "v2"], "v2"))
    assert (world.outcome().status["phase"], world.outcome().status["version"]) == ("Ready", "222222222222")


def test_a_version_that_engines_refuse_leaves_the_old_one_and_says_why() -> None:
    world = ready()
    world.adapters["legal"] = adapter(version="v2", status=world.outcome().status)
    world.fetched("v2")
    world.reported(report(["v1"], "v1", v2="ShapeMismatch"))
    assert world.table() == {V1: "legal", V2: None}
    assert world.condition("Loaded") == ("False", "ShapeMismatch")
    assert world.condition("Available") == ("True", "Serving")
    assert world.outcome().status["phase"] == "Degraded"


def test_a_version_that_may_not_be_loaded_leaves_the_old_one() -> None:
    world = ready()
    world.adapters["legal"] = adapter(version="v2", status=world.outcome().status)
    world.fetched("v2", rank=64)
    assert world.table() == {V1: "legal"}
    assert world.condition("Accepted") == ("False", "RankTooLarge")
    assert world.message("Accepted").endswith("version 111111111111 goes on")


def test_pods_of_a_template_that_is_not_made_for_adapters_get_none() -> None:
    old = engine("support-2")
    old["spec"]["volumes"] = []
    world = World(adapter(), pods=[engine("support-1"), old])
    world.fetched()
    assert [order.uid for order in world.plan.tables] == ["support-1-uid"]


def test_a_paused_deployment_is_looked_at_and_not_touched() -> None:
    world = ready()
    world.slm = world.slm | {"spec": world.slm["spec"] | {"paused": True}}
    world.step()
    assert (world.plan.tables, world.plan.apply) == ((), ())
    assert world.condition("Ready") == ("True", "Ready")
