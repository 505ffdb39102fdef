"""What the engine's pod gets for adapters: the claim's folder, the table, the routes to load them."""

import json
from typing import Any

import pytest

from slmfleet.core.build.adapter_volume import loads_adapters
from slmfleet.core.types import Manifest, Observed, Plan

from .make import child, decide, slm

FOLDER = {"mountPath": "/adapters", "subPath": "adapters", "readOnly": True}
TABLE = {"name": "adapter-table", "mountPath": "/etc/slmfleet-adapters", "readOnly": True}


def planned(lora: Any = None, *, version: str = "0.32.0", extra_args: list[str] | None = None, **spec: Any) -> Plan:
    engine = {"version": version} | ({} if lora is None else {"lora": lora})
    return decide(Observed(slm(engine=engine | ({"extraArgs": extra_args} if extra_args else {}), **spec)))


def pod(plan: Plan) -> Manifest:
    found: Manifest = child(plan, "Deployment")["spec"]["template"]["spec"]
    return found


def mounts(plan: Plan) -> list[Manifest]:
    return [
        m for m in pod(plan)["containers"][0]["volumeMounts"] if m["mountPath"] in ("/adapters", TABLE["mountPath"])
    ]


def claims(plan: Plan) -> dict[str, Manifest]:
    return {v["name"]: v["persistentVolumeClaim"] for v in pod(plan)["volumes"] if "persistentVolumeClaim" in v}


def variables(plan: Plan) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in pod(plan)["containers"][0]["env"]}


def guard_config(plan: Plan) -> Manifest:
    found: Manifest = json.loads(child(plan, "ConfigMap")["data"]["config.json"])
    return found


@pytest.mark.parametrize(
    ("lora", "model", "volume", "expected"),
    [
        ({}, {"uri": "hf://a/b"}, None, {}),
        ({"claimName": "c"}, {"uri": "hf://a/b"}, "adapters", {"adapters": {"claimName": "c"}}),
        ({}, {"uri": "hf://a/b", "cache": {"claimName": "m"}}, "cache", {"cache": {"claimName": "m"}}),
        ({}, {"uri": "hf://a/b", "cache": {"size": "9Gi"}}, "cache", {"cache": {"claimName": "support-models"}}),
        (
            {"claimName": "c"},
            {"uri": "hf://a/b", "cache": {"claimName": "m"}},
            "adapters",
            {"cache": {"claimName": "m"}, "adapters": {"claimName": "c"}},
        ),
        # the kubelet makes the folder in it
        ({"claimName": "m"}, {"uri": "pvc://m/x"}, "model", {"model": {"claimName": "m"}}),
    ],
)
def test_the_claim_of_the_adapters_is_the_specs_else_the_models_caches(
    lora: Any, model: Any, volume: str | None, expected: Any
) -> None:
    plan = planned(lora, model=model)
    assert mounts(plan) == [*([{"name": volume, **FOLDER}] if volume else []), TABLE]
    assert claims(plan) == expected


def test_the_table_may_be_missing_and_the_guard_knows_where_it_would_be() -> None:
    plan = planned({})
    (table,) = [v for v in pod(plan)["volumes"] if v["name"] == "adapter-table"]
    assert table["configMap"] == {"name": "support-adapters", "optional": True}
    assert guard_config(plan)["adapters"] == {
        "table": "/etc/slmfleet-adapters/table.json",
        "roots": ["/adapters", "/opt/adapters"],
        "hold": False,
    }
    assert variables(plan)["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert loads_adapters(child(plan, "Deployment")["spec"]["template"])


def test_adapters_in_the_models_own_claim_can_be_read() -> None:
    assert guard_config(planned({}, model={"uri": "pvc://m/x"}))["adapters"]["roots"][-1] == "/pvc"


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"lora": {"claimName": "c"}, "guard": {"enabled": False}},
        {"lora": {"claimName": "c"}, "extra_args": ["--api-server-count", "2"]},
        {"lora": {"claimName": "c"}, "extra_args": ["--api-server-count=2"]},
    ],
)
def test_an_engine_that_nobody_can_load_adapters_into_gets_nothing_of_it(parts: Any) -> None:
    plan = planned(**parts)
    assert mounts(plan) == []
    assert claims(plan) == {}
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in variables(plan)
    assert not loads_adapters(child(plan, "Deployment")["spec"]["template"])
    if config := [m for m in plan.apply if m["kind"] == "ConfigMap"]:
        assert "adapters" not in json.loads(config[0]["data"]["config.json"])


@pytest.mark.parametrize(
    ("version", "held"), [("0.11.0", True), ("0.25.1", True), ("0.26.0", False), ("0.32.0", False)]
)
def test_loads_wait_for_running_requests_where_the_engine_may_mix_them_up(version: str, held: bool) -> None:
    assert guard_config(planned({}, version=version))["adapters"]["hold"] is held
