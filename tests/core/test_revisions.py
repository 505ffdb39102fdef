"""The pod template is rendered once per user change; nothing but a user rolls pods."""

from dataclasses import replace
from typing import Any

import pytest

from slmfleet.api.catalogue import builtin
from slmfleet.core.revisions import HISTORY
from slmfleet.core.types import Config, Manifest, Observed, Ref

from .make import CONFIG, applied, child, condition, counts, decide, slm, stored

NEWER = replace(
    CONFIG,
    renderer="0.2.0",
    images={p: f"other-{p}:v{{version}}" for p in ("cuda", "rocm", "cpu")},
    guard={"middleware.py": "# as in 0.2.0\n"},
)


def template(observed: Observed, config: Config = CONFIG) -> Manifest:
    result: Manifest = child(decide(observed, config), "Deployment")["spec"]["template"]
    return result


def test_a_newer_operator_that_renders_differently_keeps_the_running_template() -> None:
    observed = applied(slm(), **counts(1, 1))
    p = decide(observed, NEWER)
    assert child(p, "Deployment")["spec"]["template"] == template(observed)
    assert condition(p, "Progressing")[:2] == ("True", "TemplateOutdated")
    assert condition(p, "Ready")[0] == "True"
    assert p.status["revision"]["renderer"] == "0.1.0"


def test_a_newer_operator_renders_anew_when_the_user_changes_the_spec() -> None:
    observed = applied(slm(), **counts(1, 1))
    changed = slm(engine={"version": "0.33.0"})
    p = decide(Observed(changed, children=observed.children), NEWER)
    assert child(p, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] == "other-cuda:v0.33.0"
    assert p.status["revision"]["renderer"] == "0.2.0"


def test_on_operator_upgrade_roll_takes_the_new_template() -> None:
    observed = applied(slm(), **counts(1, 1))
    rolling = slm(rollout={"onOperatorUpgrade": "Roll"})
    p = decide(Observed(rolling, children=observed.children), NEWER)
    assert child(p, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] == "other-cuda:v0.32.0"
    assert child(p, "ControllerRevision")["revision"] == 2


def test_rolling_once_and_keeping_again_stays_on_the_new_template() -> None:
    observed = applied(slm(), **counts(1, 1))
    rolled = decide(Observed(slm(rollout={"onOperatorUpgrade": "Roll"}), children=observed.children), NEWER)
    second = stored(child(rolled, "ControllerRevision"))
    p = decide(Observed(slm(), children={**observed.children, Ref.of(second): second}), NEWER)
    assert p.status["revision"]["name"] == second["metadata"]["name"]


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 5},
        {"paused": True},
        {"rollout": {"maxSurge": 1}},
        {"access": {"sameNamespace": False}},
        {"access": {"networkPolicy": "None"}},
        {"parallelism": {"tensor": 1}},  # the default, written out
        {"drain": {"timeout": "300s"}, "pod": {}},  # defaults, as the API server fills them in
    ],
)
def test_a_change_that_does_not_reach_the_pods_makes_no_revision(change: dict[str, Any]) -> None:
    observed = applied(slm(), **counts(1, 1))
    p = decide(Observed(slm(**change), children=observed.children))
    assert p.status["revision"]["name"] == decide(observed).status["revision"]["name"]


def test_a_larger_cache_does_not_roll_the_pods() -> None:
    def model(size: str) -> dict[str, Any]:
        return {"uri": "hf://Qwen/Qwen3-8B", "cache": {"size": size}}

    observed = applied(slm(model=model("10Gi")), **counts(1, 1))
    p = decide(Observed(slm(model=model("20Gi")), children=observed.children))
    assert p.status["revision"] == decide(observed).status["revision"]
    assert child(p, "PersistentVolumeClaim")["spec"]["resources"]["requests"]["storage"] == "20Gi"


def accelerator(**spec: Any) -> Manifest:
    base = {"platform": "cuda", "memory": "24Gi", "resourceName": "nvidia.com/gpu"}
    return {"metadata": {"name": "nvidia-l4"}, "spec": base | spec}


def test_a_new_price_of_an_accelerator_does_not_roll_the_pods() -> None:
    obj = slm()
    first = decide(Observed(obj, accelerator=accelerator(costPerHour="0.8")))
    second = decide(Observed(obj, accelerator=accelerator(costPerHour="0.9")))
    assert first.status["revision"] == second.status["revision"]


def test_a_new_toleration_of_an_accelerator_object_makes_a_revision() -> None:
    obj = slm()
    first = decide(Observed(obj, accelerator=accelerator()))
    second = decide(Observed(obj, accelerator=accelerator(tolerations=[{"key": "gpu", "operator": "Exists"}])))
    assert first.status["revision"] != second.status["revision"]


def test_a_rollback_finds_the_template_that_ran_before() -> None:
    a = applied(slm(), **counts(1, 1))
    b = applied(slm(engine={"version": "0.33.0"}))
    both = {**b.children, **a.children}
    p = decide(replace(a, children=both), NEWER)
    assert p.status["revision"] == decide(a).status["revision"]


def test_revisions_beyond_the_history_are_deleted_oldest_first_and_never_the_current_one() -> None:
    observed = applied(slm(), **counts(1, 1))
    current = child(decide(observed), "ControllerRevision")
    children = dict(observed.children)
    for number in range(2, HISTORY + 4):
        old = stored(current | {"revision": number})
        old["metadata"] = old["metadata"] | {"name": f"support-old{number}", "uid": f"u{number}"}
        old["data"] = old["data"] | {"inputs": old["data"]["inputs"] | {"spec": {"replaced": number}}}
        children[Ref.of(old)] = old
    p = decide(replace(observed, children=children))
    assert [(ref.name, ref.uid) for ref in p.delete] == [("support-old2", "u2"), ("support-old3", "u3")]


def test_a_field_that_is_newer_than_the_stored_inputs_changes_nothing_at_its_default() -> None:
    observed = applied(slm(), **counts(1, 1))
    (ref,) = [ref for ref in observed.children if ref.kind == "ControllerRevision"]
    old = observed.children[ref]
    del old["data"]["inputs"]["spec"]["drain"]  # as if an older release had not known it
    assert decide(observed).status["revision"]["name"] == ref.name
    changed = decide(Observed(slm(drain={"timeout": "10s"}), children=observed.children))
    assert changed.status["revision"]["name"] != ref.name


def test_a_default_that_a_newer_release_changed_does_not_roll_the_pods() -> None:
    observed = applied(slm(drain={"timeout": "77s"}), **counts(1, 1))  # 77s: the default when it was stored
    (ref,) = [ref for ref in observed.children if ref.kind == "ControllerRevision"]
    assert observed.children[ref]["data"]["inputs"]["spec"]["drain"] == {"timeout": "77s"}
    assert decide(observed, NEWER).status["revision"]["name"] == ref.name


def test_an_object_equal_to_the_builtin_accelerator_changes_nothing() -> None:
    observed = applied(slm(), **counts(1, 1))
    builtin_ = builtin("nvidia-l4")
    assert builtin_ is not None
    same = {"metadata": {"name": "nvidia-l4"}, "spec": builtin_.to_manifest() | {"costPerHour": "0.8"}}
    p = decide(replace(observed, accelerator=same), NEWER)
    assert p.status["revision"]["renderer"] == "0.1.0"


def test_removing_an_optional_field_is_a_change() -> None:
    observed = applied(slm(engine={"version": "0.32.0", "maxModelLen": 4096}), **counts(1, 1))
    p = decide(Observed(slm(), children=observed.children))
    assert "--max-model-len" not in child(p, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
