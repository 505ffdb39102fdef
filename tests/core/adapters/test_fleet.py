"""From a LoRAAdapter to tables, step by step, through plan()."""

import json

import pytest

from slmfleet.core.adapters.reports import Report
from slmfleet.core.autoscale.advice import Advice, PodLoad
from slmfleet.core.autoscale.decision import Decision
from tests.core.make import NOW

from .make import World, adapter, engine, engine_name, fleet, path, ready, report, scaled

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


@pytest.mark.parametrize(
    ("replicas", "pods", "loaded", "told", "phase"),
    [
        # wanted, there -> what the columns say
        (1, 0, "0/1", ("False", "Loading"), "Loading"),
        (3, 2, "2/3", ("True", "Ready"), "Ready"),
        (1, 2, "2/2", ("True", "Ready"), "Ready"),
        (0, 0, "0/0", ("True", "Ready"), "Ready"),
    ],
)
def test_replicas_that_are_still_to_come_are_counted(
    replicas: int, pods: int, loaded: str, told: tuple[str, str], phase: str
) -> None:
    world = ready()
    world.slm = scaled(replicas)
    world.pods = world.pods[:pods]
    world.step()
    status = world.outcome().status
    assert (status["loaded"], status["phase"], world.condition("Ready")) == (loaded, phase, told)
    (summed,) = [c for c in world.plan.status["conditions"] if c["type"] == "AdaptersReady"]
    assert summed["status"] == told[0]


def test_some_of_the_replicas_are_counted_before_there_are_any() -> None:
    world = World(adapter(placement={"replicas": 2}), slm=scaled(3))
    world.pods = ()
    world.fetched()
    assert world.outcome().status["loaded"] == "0/2"
    assert world.message("Loaded") == "no chosen pod is ready yet"
    world.pods = (engine("support-1"),)
    world.reported(report(["v1"], "v1"))
    assert (world.outcome().status["loaded"], world.condition("Loaded")) == ("1/2", ("True", "Loaded"))


def test_a_pod_that_starts_is_not_said_to_have_loaded_anything() -> None:
    world = ready()
    world.pods = (engine("support-1"), engine("support-3", ready=False))
    world.step()
    assert world.message("Loaded") == "1 of 2 pods have loaded version 111111111111"
    world.reported(report(), "support-1")
    assert world.message("Loaded") == "0 of 2 pods have loaded it"


def test_a_number_of_replicas_that_have_no_slot_for_it_is_told() -> None:
    old = adapter("old")
    world = World(old, adapter(placement={"replicas": 2}), slm=fleet(maxAdapters=1, maxCpuAdapters=1))
    world.fetched()
    assert world.condition("Loaded") == ("False", "NoSlot")
    wanted = "only 0 of 2 pods have a free slot for it: raise the deployment's spec.engine.lora.maxCpuAdapters"
    assert world.message("Loaded") == wanted


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


@pytest.mark.parametrize(
    ("reason", "said", "shown"),
    [
        (
            "ShapeMismatch",
            "Call to add_lora method failed: Worker failed with error 'The size of tensor a (128) must match the size "
            "of tensor b (256) at non-singleton dimension 1', please check the stack trace above for the root cause",
            "The size of tensor a (128) must match the size of tensor b (256) at non-singleton dimension 1: it was made "
            "for a model of another size, and this one needs one of its own",
        ),
        ("EngineRefused", "Call to add_lora method failed: no 'room'", "no 'room'"),
        ("NotFound", "", "NotFound"),
    ],
)
def test_what_engines_say_is_told_without_what_it_is_wrapped_in(reason: str, said: str, shown: str) -> None:
    world = World(adapter())
    world.fetched()
    told = report([], None, v1=reason)
    told["adapters"][V1]["message"] = said
    world.reported(told)
    assert world.message("Loaded") == f"pod support-1: {shown}"


def test_a_version_that_may_not_be_loaded_leaves_the_old_one() -> None:
    world = ready()
    world.adapters["legal"] = adapter(version="v2", status=world.outcome().status)
    world.fetched("v2", rank=64)
    assert world.table() == {V1: "legal"}
    assert world.condition("Accepted") == ("False", "RankTooLarge")
    assert world.message("Accepted").endswith("version 111111111111 goes on")


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


def test_the_label_of_a_pod_that_ends_stays_for_the_requests_that_still_reach_it() -> None:
    world = World(adapter(endpoint={"service": True}), pods=[engine("support-1"), engine("support-2")])
    world.fetched()
    world.reported(report(["v1"], "v1"))
    ending = engine("support-1", labels={"adapter.slmfleet.dev/legal": "true"})
    ending["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    world.pods = (ending, engine("support-2", labels={"adapter.slmfleet.dev/legal": "true"}))
    world.step()
    assert list(world.plan.patches) == []


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


def test_what_many_adapters_on_many_pods_cost_grows_with_their_pairs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    adapters = [adapter(f"legal-{n}", servedName=f"served-{n}", endpoint={"service": True}) for n in range(6)]
    world = World(*adapters, slm=fleet(maxAdapters=8), pods=[engine(f"support-{n}") for n in range(1, 6)])
    world.fetched()
    held = {engine_name("v1", f"served-{n}"): {"path": path("v1"), "state": "Loaded"} for n in range(6)}
    said = {"adapters": held, "aliases": {f"served-{n}": engine_name("v1", f"served-{n}") for n in range(6)}}
    asked: list[str] = []
    real = Report.answering

    def answering(self: Report, served: str) -> str | None:
        asked.append(served)
        return real(self, served)

    monkeypatch.setattr(Report, "answering", answering)
    world.reported(said)
    assert {world.condition("Ready", f"legal-{n}") for n in range(6)} == {("True", "Ready")}
    assert len(asked) == 6 * 5
