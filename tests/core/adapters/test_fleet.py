"""From a LoRAAdapter to tables, step by step, through plan()."""

import json
from typing import Any

import pytest

from slmfleet.core.types import Manifest
from tests.core.make import slm

from .make import World, adapter, digest, engine, engine_name, fleet, job_of, path, report

V1, V2 = engine_name("v1"), engine_name("v2")


def ready(**spec: Any) -> World:
    """A fleet whose two pods serve version v1."""
    world = World(adapter(**spec))
    world.fetched()
    world.reported(report(["v1"], "v1"))
    assert world.condition("Ready") == ("True", "Ready")
    return world


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


def test_an_operator_that_has_asked_nobody_yet_tells_on_what_was_told() -> None:
    world = ready()
    before = world.outcome().status
    world.reports.clear()
    world.step()
    assert world.outcome().status == before
    assert list(world.plan.patches) == []


def test_a_guard_that_was_asked_in_vain_is_told() -> None:
    world = ready()
    world.reported({"error": "connection refused"}, "support-2")
    assert world.condition("Loaded") == ("False", "GuardSilent")
    assert world.message("Loaded") == "pod support-2: its guard tells nothing: connection refused"
    assert (world.outcome().status["phase"], world.outcome().status["loaded"]) == ("Degraded", "1/2")


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
    assert world.outcome().status["phase"] == "Updating"
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


def test_the_spec_of_the_engine_that_changes_is_asked_again_without_a_fetch() -> None:
    world = World(adapter())
    world.fetched(rank=64)
    assert world.condition("Accepted") == ("False", "RankTooLarge")
    world.slm = fleet(maxRank=64)
    world.words.clear()
    world.step()
    assert world.condition("Accepted")[0] == "True"
    assert world.table() == {V1: "legal"}


@pytest.mark.parametrize(
    ("facts", "spec", "reason", "text"),
    [
        ({"base": "meta/Llama"}, {}, "BaseModelMismatch", 'says that its base is "meta/Llama"'),
        ({"base": None}, {}, "BaseModelMismatch", "does not say what its base is"),
        ({}, {"baseModel": "Qwen/Qwen3-8B-Base"}, "BaseModelMismatch", "spec.baseModel"),
        ({"rank": 8, "ranks": [8, 32]}, {}, "RankTooLarge", "rank 32 is more than the 16"),
        ({"bias": "all"}, {}, "UnsupportedAdapter", "bias all"),
        ({"dora": True}, {}, "UnsupportedAdapter", "use_dora"),
        ({"modulesToSave": ["lm_head"]}, {}, "UnsupportedAdapter", "modules_to_save lm_head"),
        ({"peftType": "IA3"}, {}, "UnsupportedAdapter", "peft_type IA3"),
    ],
)
def test_what_the_files_say_can_forbid_to_load_them(
    facts: dict[str, Any], spec: dict[str, Any], reason: str, text: str
) -> None:
    world = World(adapter(**spec))
    world.fetched(**facts)
    assert world.condition("Accepted") == ("False", reason)
    assert text in world.message("Accepted")
    assert world.table() == {}
    assert world.outcome().status["phase"] == "Refused"


@pytest.mark.parametrize("base", [None, "Qwen/Qwen3-8B-Base"])
def test_the_user_may_vouch_for_another_base(base: str | None) -> None:
    world = World(adapter(baseModel="Qwen/Qwen3-8B-Base"))
    world.fetched(base=base)
    assert world.table() == {V1: "legal"}


@pytest.mark.parametrize(
    ("deployment", "reason"),
    [
        (slm(), "LoRAOff"),
        (slm(engine={"version": "0.32.0", "lora": {}}, guard={"enabled": False}), "GuardOff"),
        (slm(engine={"version": "0.32.0", "lora": {}, "extraArgs": ["--api-server-count=2"]}), "SeveralAPIServers"),
        (slm(engine={"version": "0.32.0", "lora": {}}), "NoVolume"),
        (slm(engine={"version": "9.9"}), "DeploymentNotAccepted"),
    ],
)
def test_a_deployment_that_cannot_take_adapters_is_told_in_theirs(deployment: Manifest, reason: str) -> None:
    world = World(adapter(), slm=deployment)
    if reason == "DeploymentNotAccepted":
        world.slm = fleet()
        base = world.observed()
        world.slm = deployment
        world.observed = lambda: type(base)(deployment, adapters=tuple(world.adapters.values()))  # type: ignore[method-assign]
    world.step()
    assert world.condition("Accepted") == ("False", reason)


def test_the_older_adapter_keeps_a_name() -> None:
    older = adapter("contracts", servedName="legal")
    older["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    world = World(adapter(), older, adapter("base", servedName="support"))
    world.step()
    assert world.condition("Accepted") == ("False", "NameConflict")
    assert world.condition("Accepted", "contracts")[0] == "True"
    assert world.message("Accepted", "base").startswith('spec.servedName: support serves its model as "support"')


def test_adapters_beyond_the_slots_are_refused_unless_they_have_nothing_to_load() -> None:
    names = ["a", "b", "c"]
    world = World(*(adapter(name) for name in names), slm=fleet(maxAdapters=2))
    world.step()
    a = min(world.jobs.values(), key=lambda job: str(job["metadata"]["name"]))
    a["status"] = {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}]}
    world.words[f"{a['metadata']['uid']}/Failed"] = json.dumps({"error": "PickleRefused", "message": "x.bin"})
    world.fetched()
    assert world.condition("Fetched", "a") == ("False", "PickleRefused")
    assert set(world.table()) == {engine_name("v1", "b"), engine_name("v1", "c")}
    world.adapters["d"] = adapter("d")
    world.fetched()
    assert world.condition("Accepted", "d") == ("False", "NoSlot")


def test_a_new_version_waits_for_a_slot_of_its_own() -> None:
    world = World(adapter(), slm=fleet(maxAdapters=1))
    world.fetched()
    world.reported(report(["v1"], "v1"))
    world.adapters["legal"] = adapter(version="v2", status=world.outcome().status)
    world.fetched("v2")
    assert world.table() == {V1: "legal"}
    assert world.condition("Loaded") == ("False", "NoSlot")


def test_a_number_of_replicas_is_placed_and_stays() -> None:
    world = World(adapter(placement={"replicas": 1}), pods=[engine("support-1"), engine("support-2")])
    world.fetched()
    assert (world.table(), world.table("support-2")) == ({V1: "legal"}, {})
    (table,) = [m for m in world.plan.apply if m["metadata"]["name"] == "support-adapters"]
    assert json.loads(table["data"]["table.json"]) == {"adapters": {}}
    world.pods = (engine("support-0"), *world.pods)
    world.step()
    assert world.table("support-0") == {}
    world.pods = (engine("support-0"), engine("support-2"))
    world.step()
    assert world.table("support-0") == {V1: "legal"}


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


def test_pods_of_a_template_that_is_not_made_for_adapters_get_none() -> None:
    old = engine("support-2")
    old["spec"]["volumes"] = []
    world = World(adapter(), pods=[engine("support-1"), old])
    world.fetched()
    assert [order.uid for order in world.plan.tables] == ["support-1-uid"]


def test_an_adapter_in_the_image_is_read_by_a_ready_engine() -> None:
    world = World(adapter(source={"uri": "image:///opt/adapters/legal"}), pods=[engine(ready=False)])
    world.step()
    assert list(world.plan.inspections) == []
    world.pods = (engine(),)
    world.step()
    (asked,) = world.plan.inspections
    assert (asked.address, asked.path) == ("10.0.0.1", "/opt/adapters/legal")
    world.inspected[asked.key] = {"digest": digest("v1"), "base": "Qwen/Qwen3-8B", "rank": 8}
    world.step()
    assert world.condition("Fetched") == ("True", "InPlace")
    assert world.plan.tables[0].table == {"adapters": {V1: {"path": "/opt/adapters/legal", "alias": "legal"}}}
    assert not world.jobs


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("pvc://adapters/adapters/legal", "/adapters/legal"), ("pvc://adapters/legal", None), ("pvc://other/x", None)],
)
def test_a_claim_is_read_where_the_engines_see_it(uri: str, expected: str | None) -> None:
    world = World(adapter(source={"uri": uri}))
    world.step()
    assert [asked.path for asked in world.plan.inspections] == ([expected] if expected else [])
    assert expected or world.condition("Accepted") == ("False", "NoVolume")


def test_what_a_guard_could_not_read_is_told() -> None:
    world = World(adapter(source={"uri": "image:///opt/adapters/legal"}))
    key = world.step().inspections[0].key
    world.inspected[key] = {"reason": "PickleRefused", "error": "x.bin is a pickle"}
    world.step()
    assert world.condition("Fetched") == ("False", "PickleRefused")
    assert world.message("Fetched") == "x.bin is a pickle"
    assert list(world.plan.inspections) == []


def test_other_files_than_those_of_the_digest_are_refused() -> None:
    world = World(adapter())
    world.fetched("v2")
    assert world.condition("Fetched") == ("False", "DigestMismatch")
    assert world.table() == {}


def test_a_fetch_that_failed_is_told_and_tried_again_later() -> None:
    world = World(adapter())
    world.step()
    world.ended("Failed", {"error": "TooLarge", "message": "5 GB"})
    assert world.condition("Fetched") == ("False", "TooLarge")
    assert world.plan.requeue_after == 600
    (job,) = world.jobs.values()
    job["status"]["conditions"][0]["lastTransitionTime"] = "2026-01-02T02:54:05Z"
    world.step()
    assert [ref.kind for ref in world.plan.delete] == ["Job"]
    assert world.condition("Fetched") == ("False", "TooLarge")
    world.step()
    assert job_of(world.plan)["metadata"]["name"] == job["metadata"]["name"]


@pytest.mark.parametrize(
    ("words", "text"), [("", "see its pod's log"), ("OOM", "OOM"), ({"digest": "sha256:0"}, "deadline")]
)
def test_a_fetch_that_ended_without_a_word_is_a_failure(words: object, text: str) -> None:
    world = World(adapter())
    world.step()
    world.ended("Failed", words)
    assert world.condition("Fetched") == ("False", "FetchFailed")
    assert text in world.message("Fetched")


def test_a_job_of_somebody_else_is_left_alone() -> None:
    world = World(adapter())
    job = job_of(world.step())
    for known in world.jobs.values():
        known["metadata"]["ownerReferences"] = []
    world.step()
    assert world.condition("Fetched") == ("False", "NameConflict")
    assert job not in world.plan.apply
    assert world.plan.delete == ()


def test_the_job_of_an_earlier_source_goes_and_what_it_told_stays() -> None:
    world = ready()
    before = {ref.name for ref in world.jobs}
    world.adapters["legal"] = adapter(source={"uri": "s3://adapters/other"}, status=world.outcome().status)
    world.step()
    assert {ref.name for ref in world.plan.delete} == before
    assert world.table() == {V1: "legal"}


def test_a_paused_deployment_is_looked_at_and_not_touched() -> None:
    world = ready()
    world.slm = world.slm | {"spec": world.slm["spec"] | {"paused": True}}
    world.step()
    assert (world.plan.tables, world.plan.apply) == ((), ())
    assert world.condition("Ready") == ("True", "Ready")


def test_the_deployment_sums_its_adapters_up() -> None:
    world = ready()
    (found,) = [c for c in world.plan.status["conditions"] if c["type"] == "AdaptersReady"]
    assert (found["status"], found["reason"]) == ("True", "AdaptersReady")
    world.adapters["tax"] = adapter("tax", servedName="support")
    world.step()
    (found,) = [c for c in world.plan.status["conditions"] if c["type"] == "AdaptersReady"]
    assert (found["status"], found["reason"]) == ("False", "NameConflict")
    assert found["message"].startswith("1 of 2 adapters are ready; tax: spec.servedName")


def test_events_tell_what_changed_once() -> None:
    world = ready()
    assert [event.reason for event in world.outcome().events] == ["Loaded", "Ready"]
    world.step()
    assert world.outcome().events == ()
    world.reported(report([], None, v1="EngineRefused"))
    assert [(event.type, event.reason) for event in world.outcome().events] == [("Warning", "EngineRefused")]
