"""What statuses say about adapters, the deployment's own included."""

import pytest

from slmfleet.core.adapters.reports import Report

from .make import World, adapter, engine, engine_name, fleet, path, ready, report, scaled

V1 = engine_name("v1")


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
    wanted = "support has a free slot for it in only 0 of 2 pods"
    assert world.message("Loaded") == f"{wanted}: raise its spec.engine.lora.maxCpuAdapters, and its pods roll"


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
