"""What is said about the engine's arguments, and that knowing more never stops what runs."""

import copy
from typing import Any

from slmfleet.core.types import Config, Manifest, Observed

from .make import CONFIG, applied, child, condition, counts, decide, slm

REFUSED: dict[str, Any] = {"version": "0.32.0", "extraArgs": ["--port=9000"]}
NEWER = Config(renderer="0.2.0", images={p: f"other-{p}:v{{version}}" for p in ("cuda", "rocm", "cpu")})


def running_although_refused(**spec: Any) -> Observed:
    """A fleet whose spec passed when it was rendered and would not pass any more."""
    observed = applied(slm(), **counts(1, 1))
    children = copy.deepcopy(dict(observed.children))
    (revision,) = [m for ref, m in children.items() if ref.kind == "ControllerRevision"]
    revision["data"]["inputs"]["spec"]["engine"] = REFUSED
    return Observed(slm(engine=REFUSED, **spec), children=children)


def template(observed: Observed, config: Config = CONFIG) -> Manifest:
    result: Manifest = child(decide(observed, config), "Deployment")["spec"]["template"]
    return result


def test_an_engine_that_takes_everything_is_compatible_and_no_news() -> None:
    p = decide(Observed(slm()))
    assert condition(p, "EngineCompatible") == (
        "True",
        "Compatible",
        "vLLM 0.32.0 takes every argument as the spec has it",
    )
    assert "EngineCompatible" not in {event.action for event in p.events}


def test_an_adjustment_is_told_in_condition_status_and_event() -> None:
    p = decide(Observed(slm(engine={"version": "0.17.1"}, guard={"enabled": False})))
    status, reason, message = condition(p, "EngineCompatible")
    assert (status, reason) == ("True", "FlagsAdjusted")
    (adjusted,) = p.status["engine"]["adjusted"]
    assert (adjusted["field"], adjusted["flag"]) == ("spec.drain.timeout", "--shutdown-timeout")
    assert adjusted["why"] in message
    assert ("Normal", "FlagsAdjusted") in {(event.type, event.reason) for event in p.events}


def test_the_status_keeps_what_was_adjusted_when_the_template_was_rendered() -> None:
    observed = applied(slm(engine={"version": "0.17.1"}), **counts(1, 1))
    (revision,) = [m for ref, m in observed.children.items() if ref.kind == "ControllerRevision"]
    revision["data"]["adjusted"] = [{"field": "spec.x", "flag": "--x", "why": "as it was then"}]
    assert decide(observed).status["engine"]["adjusted"] == revision["data"]["adjusted"]


def test_a_spec_that_cannot_be_read_leaves_the_engine_unchecked() -> None:
    assert condition(decide(Observed(slm(replicas="three"))), "EngineCompatible")[:2] == ("Unknown", "NotAccepted")


def test_a_refused_spec_starts_nothing() -> None:
    p = decide(Observed(slm(engine=REFUSED)))
    assert p.apply == ()
    assert condition(p, "Accepted")[:2] == ("False", "InvalidSpec")


def test_a_refused_spec_that_runs_already_runs_on_and_is_told() -> None:
    observed = running_although_refused()
    p = decide(observed, NEWER)
    assert template(observed, NEWER) == template(applied(slm(), **counts(1, 1)))
    status, reason, message = condition(p, "Accepted")
    assert (status, reason) == ("True", "Accepted")
    assert "--port is not allowed" in message
    assert condition(p, "Progressing")[1] != "TemplateOutdated"


def test_a_refused_spec_that_runs_already_still_scales() -> None:
    p = decide(running_although_refused(replicas=3))
    assert child(p, "Deployment")["spec"]["replicas"] == 3


def test_rolling_on_upgrade_does_not_stop_a_refused_spec_that_runs_already() -> None:
    observed = running_although_refused(rollout={"onOperatorUpgrade": "Roll"})
    assert template(observed, NEWER) == template(applied(slm(), **counts(1, 1)))


def test_the_next_change_of_a_refused_spec_is_refused_and_what_runs_is_left() -> None:
    observed = running_although_refused()
    changed = slm(engine=REFUSED | {"maxModelLen": 4096})
    p = decide(Observed(changed, children=observed.children))
    assert p.apply == ()
    assert p.delete == ()
    assert condition(p, "Accepted")[:2] == ("False", "InvalidSpec")
