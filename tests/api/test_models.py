"""Parsing: strict types, no unknown fields, camelCase in and out."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.slmdeployment import SLMDeploymentSpec

MINIMAL: dict[str, Any] = {
    "model": {"uri": "hf://Qwen/Qwen3-8B-AWQ"},
    "engine": {"version": "0.32.0"},
    "accelerator": {"class": "nvidia-l4"},
}


def spec_with(path: str, value: Any) -> dict[str, Any]:
    spec = copy.deepcopy(MINIMAL)
    node = spec
    *parents, last = path.split(".")
    for name in parents:
        node = node.setdefault(name, {})
    node[last] = value
    return spec


def test_the_shortest_manifest_is_complete() -> None:
    spec = SLMDeploymentSpec.model_validate(MINIMAL)
    assert (spec.replicas, spec.parallelism.tensor, spec.drain.timeout) == (1, 1, "300s")
    assert spec.rollout.on_operator_upgrade == "Keep"
    assert spec.accelerator.class_name == "nvidia-l4"


def test_a_manifest_comes_back_in_camel_case_without_nulls() -> None:
    manifest = SLMDeploymentSpec.model_validate(spec_with("engine.maxModelLen", 8192)).to_manifest()
    assert manifest["engine"] == {"version": "0.32.0", "maxModelLen": 8192}
    assert manifest["accelerator"] == {"class": "nvidia-l4"}
    assert "None" not in str(manifest)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("engine.version", 0.32, "Input should be a valid string"),
        ("replicas", "2", "Input should be a valid integer"),
        ("replicas", 1.0, "Input should be a valid integer"),
        ("replicas", True, "Input should be a valid integer"),
        ("paused", "false", "Input should be a valid boolean"),
        ("pod.resources", {"requests": {"cpu": 4}}, "Input should be a valid string"),
        ("pod.tolerations", {"key": "gpu"}, "Input should be a valid list"),
        ("replicas", -1, "greater than or equal to 0"),
        ("parallelism.tensor", 0, "greater than or equal to 1"),
        ("pod.runAsUser", 0, "greater than or equal to 1"),
        ("engine.version", "latest", "String should match pattern"),
        ("drain.timeout", "5 minutes", "String should match pattern"),
        ("model.servedNames", [], "at least 1 item"),
        ("model.cache.accessMode", "ReadOnlyMany", "'ReadWriteOnce' or 'ReadWriteMany'"),
        ("pod.nodeSelector", {"no spaces": "x"}, "String should match pattern"),
        ("engine.quantisation", "awq", "Extra inputs are not permitted"),
        ("autoscaling", {"minReplicas": 1}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_type_or_an_unknown_field_is_an_error(path: str, value: Any, told: str) -> None:
    with pytest.raises(ValidationError) as error:
        SLMDeploymentSpec.model_validate(spec_with(path, value))
    (found,) = error.value.errors()
    assert told in found["msg"]
    assert found["loc"][0] == path.split(".", maxsplit=1)[0]


@pytest.mark.parametrize("missing", ["model", "engine", "accelerator"])
def test_what_decides_the_fleet_has_no_default(missing: str) -> None:
    with pytest.raises(ValidationError, match="Field required"):
        SLMDeploymentSpec.model_validate({k: v for k, v in MINIMAL.items() if k != missing})


def test_a_parsed_spec_cannot_be_changed() -> None:
    spec = SLMDeploymentSpec.model_validate(MINIMAL)
    with pytest.raises(ValidationError, match="frozen"):
        spec.replicas = 2  # type: ignore[misc]


@pytest.mark.parametrize("timeout", ["1s", "90s", "5m", "1h", "1h30m", "1h1m1s"])
def test_durations_are_those_of_go(timeout: str) -> None:
    assert SLMDeploymentSpec.model_validate(spec_with("drain.timeout", timeout)).drain.timeout == timeout


@given(
    st.builds(
        lambda replicas, tensor, timeout, paused: {
            **MINIMAL,
            "replicas": replicas,
            "parallelism": {"tensor": tensor},
            "drain": {"timeout": f"{timeout}s"},
            "paused": paused,
        },
        st.integers(0, 1000),
        st.integers(1, 64),
        st.integers(1, 3600),
        st.booleans(),
    )
)
def test_what_is_written_reads_back_as_the_same_spec(manifest: dict[str, Any]) -> None:
    spec = SLMDeploymentSpec.model_validate(manifest)
    assert SLMDeploymentSpec.model_validate(spec.to_manifest()) == spec


def test_units_keep_their_capitals() -> None:
    spec = AcceleratorClassSpec.model_validate(
        {
            "platform": "cuda",
            "memory": "23034Mi",
            "memoryBandwidthGBps": 300,
            "gpusPerNode": 8,
            "resourceName": "nvidia.com/gpu",
        }
    )
    assert (spec.memory_bandwidth_gbps, spec.gpus_per_node) == (300, 8)
