from typing import Any

import pytest

from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.engine.argv import claim_of, engine_args, model_argument


def args(**changes: Any) -> list[str]:
    base: dict[str, Any] = {
        "model": {"uri": "hf://Qwen/Qwen3-8B"},
        "engine": {"version": "0.32.0"},
        "accelerator": {"class": "nvidia-l4"},
    }
    return engine_args("support", SLMDeploymentSpec.model_validate(base | changes), drain_seconds=300)


def test_the_minimal_arguments() -> None:
    assert args() == [
        "--model", "Qwen/Qwen3-8B", "--port", "8000", "--served-model-name", "support", "--shutdown-timeout", "300",
    ]  # fmt: skip


def test_every_field_becomes_its_flag_and_extra_arguments_come_last() -> None:
    assert args(
        model={"uri": "hf://a/b", "revision": "main", "servedNames": ["x", "y"]},
        engine={"version": "0.32.0", "maxModelLen": 4096, "extraArgs": ["--enforce-eager"]},
        parallelism={"tensor": 2},
    ) == [
        "--model", "a/b", "--port", "8000", "--served-model-name", "x", "y", "--revision", "main",
        "--max-model-len", "4096", "--tensor-parallel-size", "2", "--shutdown-timeout", "300", "--enforce-eager",
    ]  # fmt: skip


@pytest.mark.parametrize(("version", "present"), [("0.17.1", False), ("0.18.0rc1", False), ("0.18.0", True)])
def test_shutdown_timeout_only_goes_to_engines_that_know_it(version: str, present: bool) -> None:
    assert ("--shutdown-timeout" in args(engine={"version": version})) == present


@pytest.mark.parametrize(
    ("uri", "argument", "claim"),
    [
        ("hf://Qwen/Qwen3-8B", "Qwen/Qwen3-8B", None),
        ("image:///models/tiny", "/models/tiny", None),
        ("pvc://models/llama/8b", "/pvc/llama/8b", "models"),
        ("pvc://models", "/pvc", "models"),
    ],
)
def test_where_the_engine_finds_the_model(uri: str, argument: str, claim: str | None) -> None:
    assert (model_argument(uri), claim_of(uri)) == (argument, claim)
