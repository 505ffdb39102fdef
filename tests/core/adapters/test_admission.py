"""Adapters that may not be loaded, and what they are told."""

import json
from typing import Any

import pytest

from slmfleet.core.types import Manifest
from tests.core.make import slm

from .make import World, adapter, engine_name, fleet, report

V1 = engine_name("v1")
LORA = {"maxAdapters": 4, "claimName": "adapters"}


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
        ({"features": ["alpha_pattern", "use_qalora"]}, {}, "UnsupportedAdapter", "this one has use_qalora"),
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


@pytest.mark.parametrize(
    ("release", "facts", "refused"),
    [
        ("0.31.0", {"features": ["rank_pattern"]}, "rank_pattern, which vLLM serves since 0.32.0"),
        ("0.32.0", {"features": ["rank_pattern", "alpha_pattern"]}, None),
        ("0.30.0", {"modulesToSave": ["score"]}, "modules_to_save score"),
        ("0.31.0", {"modulesToSave": ["classifier", "score"]}, None),
        ("0.31.0", {"modulesToSave": ["score", "lm_head"]}, "modules_to_save lm_head"),
    ],
)
def test_what_a_release_leaves_out_without_a_word_is_refused_for_it(
    release: str, facts: dict[str, Any], refused: str | None
) -> None:
    world = World(adapter(), slm=fleet() | {"spec": fleet()["spec"] | {"engine": {"version": release, "lora": LORA}}})
    world.fetched(**facts)
    assert world.condition("Accepted")[0] == ("True" if refused is None else "False")
    assert (refused or "") in world.message("Accepted")


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


PINNED = "3f1c" * 10


@pytest.mark.parametrize(
    ("served", "said", "spec", "fits"),
    [
        (None, PINNED, {}, True),
        (PINNED, None, {}, True),
        (PINNED, PINNED, {}, True),
        (PINNED, PINNED[:8], {}, True),
        ("v1", "v1.1", {}, False),
        (PINNED, "0" * 40, {}, False),
        (PINNED, "0" * 40, {"baseModel": "Qwen/Qwen3-8B"}, True),
    ],
)
def test_an_adapter_of_another_revision_is_refused_unless_somebody_says_that_it_suits(
    served: str | None, said: str | None, spec: dict[str, Any], fits: bool
) -> None:
    deployment = fleet()
    deployment["spec"]["model"] |= {} if served is None else {"revision": served}
    world = World(adapter(**spec), slm=deployment)
    world.fetched(revision=said)
    assert world.condition("Accepted") == (("True", "Accepted") if fits else ("False", "BaseModelMismatch"))
    if not fits:
        text = f'its base is revision "{said}" of Qwen/Qwen3-8B, and the deployment serves "{served}"'
        assert text in world.message("Accepted")


@pytest.mark.parametrize(
    ("release", "quantization", "gpu", "moe", "refused"),
    [
        ("0.19.0", "fp8", "nvidia-l4", True, False),
        ("0.20.0", "fp8", "nvidia-l4", True, True),
        ("0.23.0", "fp8", "nvidia-l4", True, True),
        ("0.24.0", "fp8", "nvidia-l4", True, False),
        ("0.22.0", "fp8", "nvidia-l4", False, False),
        ("0.22.0", None, "nvidia-l4", True, False),
        ("0.22.0", "fp8", "nvidia-a10g", True, False),  # has no FP8
    ],
)
def test_experts_of_fp8_models_take_no_adapters_in_releases_that_answer_them_wrongly(
    release: str, quantization: str | None, gpu: str, moe: bool, refused: bool
) -> None:
    engine = {"version": release, "lora": LORA} | ({} if quantization is None else {"quantization": quantization})
    world = World(adapter(), slm=slm(engine=engine, accelerator={"class": gpu}))
    world.fetched(moe=moe)
    assert world.condition("Accepted") == (("False", "UnsupportedAdapter") if refused else ("True", "Accepted"))
    assert ("vllm#42007" in world.message("Accepted")) == refused


def test_adapters_beyond_the_slots_are_refused_unless_they_have_nothing_to_load() -> None:
    names = ["a", "b", "c"]
    world = World(*(adapter(name) for name in names), slm=fleet(maxAdapters=2, maxCpuAdapters=2))
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


def test_by_default_a_slot_is_left_for_a_new_version() -> None:
    world = World(adapter(), slm=fleet(maxAdapters=1))
    world.fetched()
    world.reported(report(["v1"], "v1"))
    world.adapters["legal"] = adapter(version="v2", status=world.outcome().status)
    world.fetched("v2")
    assert set(world.table()) == {V1, engine_name("v2")}


def test_a_new_version_waits_for_a_slot_of_its_own() -> None:
    world = World(adapter(), slm=fleet(maxAdapters=1, maxCpuAdapters=1))
    world.fetched()
    world.reported(report(["v1"], "v1"))
    world.adapters["legal"] = adapter(version="v2", status=world.outcome().status)
    world.fetched("v2")
    assert world.table() == {V1: "legal"}
    assert world.condition("Loaded") == ("False", "NoSlot")
    assert world.message("Loaded") == (
        "a new version is loaded beside the old one, and support has no free slot for it: raise its "
        "spec.engine.lora.maxCpuAdapters, and its pods roll; version 111111111111 serves until then"
    )
