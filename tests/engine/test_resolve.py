"""From a spec to the engine's arguments and environment."""

from typing import Any

import pytest

from slmfleet.api.catalogue import builtin
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.engine.resolution import Origin, Request, Resolution
from slmfleet.engine.resolve import resolve


def resolved(**changes: Any) -> Resolution:
    base: dict[str, Any] = {
        "model": {"uri": "hf://Qwen/Qwen3-8B"},
        "engine": {"version": "0.32.0"},
        "accelerator": {"class": "nvidia-l4"},
    }
    spec = SLMDeploymentSpec.model_validate(base | changes)
    accelerator = builtin(spec.accelerator.class_name)
    assert accelerator is not None
    return resolve(Request("support", spec, accelerator, drain_seconds=300))


def test_the_minimal_arguments() -> None:
    assert resolved().argv == [
        "--model", "Qwen/Qwen3-8B", "--port", "8000", "--served-model-name", "support",
        "--middleware", "slmfleet_guard.Guard", "--shutdown-timeout", "300",
    ]  # fmt: skip


def test_every_field_becomes_its_flag_and_extra_arguments_come_last() -> None:
    assert resolved(
        model={"uri": "hf://a/b", "revision": "main", "servedNames": ["x", "y"]},
        engine={"version": "0.32.0", "maxModelLen": 4096, "extraArgs": ["--enforce-eager"]},
        parallelism={"tensor": 2},
    ).argv == [
        "--model", "a/b", "--revision", "main", "--max-model-len", "4096", "--tensor-parallel-size", "2",
        "--port", "8000", "--served-model-name", "x", "y", "--middleware", "slmfleet_guard.Guard",
        "--shutdown-timeout", "300", "--enforce-eager",
    ]  # fmt: skip


def test_an_argument_says_who_decided_on_it() -> None:
    found = {a.words[0]: (a.field, a.origin) for a in resolved(model={"uri": "hf://a/b"}).arguments}
    assert found["--model"] == ("spec.model.uri", Origin.USER)
    assert found["--served-model-name"] == ("spec.model.servedNames", Origin.DEFAULT)


@pytest.mark.parametrize(("version", "present"), [("0.17.1", False), ("0.18.0rc1", True), ("0.18.0", True)])
@pytest.mark.parametrize("guarded", [True, False])
def test_shutdown_timeout_only_goes_to_engines_that_know_it(version: str, present: bool, guarded: bool) -> None:
    found = resolved(engine={"version": version}, guard={"enabled": guarded})
    assert ("--shutdown-timeout" in found.argv) == present
    # Where the guard waits for running requests nothing is missing.
    assert [a.flag for a in found.adjustments] == ([] if present or guarded else ["--shutdown-timeout"])


def test_the_guard_is_loaded_before_the_users_middleware_unless_it_is_off() -> None:
    users = {"version": "0.32.0", "extraArgs": ["--middleware", "theirs.Class"]}
    argv = resolved(engine=users).argv
    assert [argv[at + 1] for at, word in enumerate(argv) if word == "--middleware"] == [
        "slmfleet_guard.Guard",
        "theirs.Class",
    ]
    assert resolved(engine=users, guard={"enabled": False}).argv.count("--middleware") == 1


def test_the_hubs_token_comes_from_its_secret() -> None:
    (token,) = resolved(model={"uri": "hf://a/b", "secretRef": {"name": "hub", "key": "token"}}).variables
    assert (token.name, token.value) == ("HF_TOKEN", None)
    assert token.secret is not None
    assert (token.secret.name, token.secret.key) == ("hub", "token")


def test_an_engine_that_needs_no_hub_is_kept_from_it() -> None:
    offline = {v.name: v.value for v in resolved(model={"uri": "pvc://models/a"}).variables}
    assert offline == {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
