"""What the pod gets for fields of spec.engine: host memory, shared memory, files, secrets."""

from typing import Any

import pytest

from slmfleet.core.types import Manifest, Observed

from .make import child, condition, decide, slm


def pod_spec(*, version: str = "0.32.0", on: str = "nvidia-l4", **parts: Any) -> Manifest:
    engine = {"version": version, **parts.pop("engine", {})}
    p = decide(Observed(slm(engine=engine, accelerator={"class": on}, **parts)))
    assert p.apply, p.status["conditions"]
    result: Manifest = child(p, "Deployment")["spec"]["template"]["spec"]
    return result


def requests(spec: Manifest) -> str:
    memory: str = spec["containers"][0]["resources"]["requests"]["memory"]
    return memory


def shm(spec: Manifest) -> str:
    size: str = next(v for v in spec["volumes"] if v["name"] == "shm")["emptyDir"]["sizeLimit"]
    return size


@pytest.mark.parametrize(
    ("engine", "tensor", "memory", "shared"),
    [
        ({}, 1, "4Gi", "2Gi"),
        ({"kvOffload": {"size": "4Gi"}}, 2, "16Gi", "10Gi"),
        ({"swapSpace": "4Gi"}, 1, "8Gi", "6Gi"),
        ({"kvOffload": {"size": "4Gi", "backend": "LMCache"}}, 2, "16Gi", "2Gi"),
        ({"cpuOffload": {"size": "1536Mi"}}, 1, "5632Mi", "2Gi"),
        ({"cpuOffload": {"size": "8Gi"}, "kvOffload": {"size": "1G"}}, 1, "13884901888", "3147483648"),
    ],
)
def test_host_memory_is_requested_beside_what_any_engine_needs(
    engine: dict[str, Any], tensor: int, memory: str, shared: str
) -> None:
    spec = pod_spec(engine=engine, parallelism={"tensor": tensor})
    assert (requests(spec), shm(spec)) == (memory, shared)


def test_the_kv_cache_of_a_cpu_is_host_memory() -> None:
    assert requests(pod_spec(on="cpu", engine={"kvCacheMemory": "12Gi"})) == "16Gi"
    assert requests(pod_spec(engine={"kvCacheMemory": "12Gi"})) == "4Gi"


def test_memory_that_the_user_requests_is_requested_as_it_is() -> None:
    resources = {"requests": {"memory": "20Gi"}}
    assert requests(pod_spec(engine={"kvOffload": {"size": "4Gi"}}, pod={"resources": resources})) == "20Gi"


def test_a_limit_that_the_engine_must_exceed_is_refused() -> None:
    pod = {"resources": {"limits": {"memory": "6Gi"}}}
    p = decide(Observed(slm(engine={"version": "0.32.0", "kvOffload": {"size": "8Gi"}}, pod=pod)))
    assert condition(p, "Accepted") == (
        "False",
        "InvalidSpec",
        "spec.pod.resources.limits.memory: 6Gi is less than the 8Gi of host memory that spec.engine.kvOffload takes: "
        "raise it, or lower that",
    )


def test_a_chat_template_is_mounted_where_the_argument_says() -> None:
    spec = pod_spec(engine={"chatTemplate": {"configMapRef": {"name": "templates", "key": "qwen.jinja"}}})
    (volume,) = [v for v in spec["volumes"] if "configMap" in v]
    assert volume["configMap"] == {
        "name": "templates",
        "items": [{"key": "qwen.jinja", "path": "template.jinja"}],
    }
    container = spec["containers"][0]
    (mount,) = [m for m in container["volumeMounts"] if m["name"] == volume["name"]]
    args = container["args"]
    assert args[args.index("--chat-template") + 1] == f"{mount['mountPath']}/template.jinja"
    assert mount["readOnly"]


def test_secrets_reach_the_engine_by_reference_alone() -> None:
    container = pod_spec(engine={"apiKeySecretRef": {"name": "keys", "key": "api"}})["containers"][0]
    variables = {entry["name"]: entry for entry in container["env"]}
    assert variables["VLLM_API_KEY"] == {
        "name": "VLLM_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}},
    }
    assert not any("key" in word for word in container["args"])


def test_the_users_variables_win_over_those_of_fields() -> None:
    env = [{"name": "VLLM_API_KEY", "value": "mine"}]
    container = pod_spec(engine={"apiKeySecretRef": {"name": "keys", "key": "api"}}, pod={"env": env})["containers"][0]
    assert [e for e in container["env"] if e["name"] == "VLLM_API_KEY"] == [{"name": "VLLM_API_KEY", "value": "mine"}]
