import json
from typing import Any

import pytest

from slmfleet.engine.resolution import Resolution
from tests.engine.resolving import adjusted, env, refused, resolved, words


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("Generate", ["--runner", "generate"]),
        ("Embed", ["--runner", "pooling", "--convert", "embed"]),
        ("Classify", ["--runner", "pooling", "--convert", "classify"]),
        ("Score", ["--runner", "pooling"]),
    ],
)
@pytest.mark.parametrize("version", ["0.11.0", "0.12.0", "0.33.0"])
def test_a_task_is_a_runner_and_what_the_model_is_turned_into(version: str, task: str, expected: list[str]) -> None:
    assert words(resolved(version, task=task), "task") == expected


def test_models_are_turned_into_ones_for_rewards_up_to_0_15() -> None:
    assert words(resolved("0.15.1", task="Reward"), "task") == ["--runner", "pooling", "--convert", "reward"]
    later = resolved("0.16.0", task="Reward")
    assert words(later, "task") == ["--runner", "pooling"]
    assert adjusted(later)["task"].startswith("left to the model")


def config(resolution: Resolution) -> dict[str, Any]:
    flag, value = words(resolution, "speculative")
    assert flag == "--speculative-config"
    result: dict[str, Any] = json.loads(value)
    return result


@pytest.mark.parametrize(
    ("speculative", "expected"),
    [
        (
            {"method": "ngram", "tokens": 5, "promptLookupMin": 2, "promptLookupMax": 4},
            {"method": "ngram", "num_speculative_tokens": 5, "prompt_lookup_min": 2, "prompt_lookup_max": 4},
        ),
        (
            {"model": "hf://Qwen/Qwen3-0.6B", "revision": "v1", "tokens": 5, "tensor": 1, "quantization": "fp8"},
            {
                "model": "Qwen/Qwen3-0.6B",
                "revision": "v1",
                "num_speculative_tokens": 5,
                "draft_tensor_parallel_size": 1,
                "quantization": "fp8",
            },
        ),
        (
            {"method": "eagle3", "model": "image:///heads/eagle3", "tokens": 3},
            {"method": "eagle3", "model": "/heads/eagle3", "num_speculative_tokens": 3},
        ),
        ({"method": "mtp", "tokens": 1}, {"method": "mtp", "num_speculative_tokens": 1}),
    ],
)
def test_speculation_is_json_with_what_was_said(speculative: dict[str, Any], expected: dict[str, Any]) -> None:
    assert config(resolved(speculative=speculative)) == expected


def test_a_method_that_needs_a_package_of_its_own_is_passed_on_with_a_doubt() -> None:
    found = resolved(speculative={"method": "suffix", "tokens": 3})
    assert config(found) == {"method": "suffix", "num_speculative_tokens": 3}
    assert "arctic-inference" in found.doubts[0].text


def test_a_method_that_no_release_knows_is_refused() -> None:
    (text,) = refused(resolved(speculative={"method": "eagel", "tokens": 3}))
    assert text.startswith("spec.engine.speculative.method: eagel is not known to vLLM 0.32.0: did you mean eagle")


@pytest.mark.parametrize(
    ("version", "method", "told"),
    [
        ("0.14.1", "draft_model", "(0.15.0 and later have it)"),
        ("0.17.1", "ngram_gpu", "(0.18.0 and later have it)"),
        ("0.33.0", "medusa", "(0.11.0 to 0.32.0 have it)"),
    ],
)
def test_an_engine_that_cannot_guess_that_way_answers_without_guessing(version: str, method: str, told: str) -> None:
    found = resolved(version, speculative={"method": method, "tokens": 3})
    assert not found.problems
    assert words(found, "speculative") == []
    assert adjusted(found)["speculative.method"].endswith(told)


def test_whether_a_model_without_a_method_will_do_as_a_draft_is_for_old_engines_to_say() -> None:
    draft = {"model": "hf://a/draft", "tokens": 3}
    assert "a plain draft model from 0.15.0 on" in resolved("0.14.1", speculative=draft).doubts[0].text
    assert not resolved("0.15.0", speculative=draft).doubts


@pytest.mark.parametrize(("tensor", "fine"), [(1, True), (2, False), (4, True)])
def test_a_draft_model_has_one_gpu_or_all(tensor: int, fine: bool) -> None:
    texts = refused(resolved(tensor=4, speculative={"model": "hf://a/draft", "tokens": 3, "tensor": tensor}))
    assert (texts == []) == fine
    assert fine or "neither 1 nor spec.parallelism.tensor (4)" in texts[0]


def test_a_draft_in_another_claim_and_a_second_configuration_are_refused() -> None:
    assert (
        "a claim that the engine does not mount"
        in refused(resolved(speculative={"model": "pvc://drafts/a", "tokens": 3}))[0]
    )
    twice = resolved(speculative={"method": "ngram", "tokens": 3}, extraArgs=["--speculative-config={}"])
    assert "once more by --speculative-config in extraArgs" in refused(twice)[0]


@pytest.mark.parametrize(
    ("lora", "expected"),
    [
        ({}, ["--enable-lora"]),
        (
            {"maxAdapters": 8, "maxRank": 32, "maxCpuAdapters": 16},
            ["--enable-lora", "--max-loras", "8", "--max-lora-rank", "32", "--max-cpu-loras", "16"],
        ),
    ],
)
def test_room_for_adapters(lora: dict[str, int], expected: list[str]) -> None:
    assert words(resolved(lora=lora), "lora") == expected


@pytest.mark.parametrize(
    ("version", "rank", "fine"), [("0.32.0", 24, False), ("0.11.0", 1, False), ("0.11.1", 1, True)]
)
def test_a_rank_is_one_of_those_that_the_release_has_kernels_for(version: str, rank: int, fine: bool) -> None:
    texts = refused(resolved(version, lora={"maxRank": rank}))
    assert (texts == []) == fine
    assert fine or texts[0].startswith(f"spec.engine.lora.maxRank: {rank} is not known to vLLM {version}")


def test_sleep_comes_with_the_routes_for_it_and_only_on_gpus() -> None:
    found = resolved(sleepMode=True)
    assert words(found, "sleepMode") == ["--enable-sleep-mode"]
    assert env(found) == {"VLLM_SERVER_DEV_MODE": "1"}
    cpu = resolved(on="cpu", sleepMode=True)
    assert words(cpu, "sleepMode") == []
    assert env(cpu) == {}
    assert list(adjusted(cpu)) == ["sleepMode"]


def test_sleep_without_the_guard_is_remarked_upon() -> None:
    assert not resolved(sleepMode=True).remarks
    (remark,) = resolved(guard={"enabled": False}, sleepMode=True).remarks
    assert "may put it to sleep" in remark.text


def test_sleep_is_off_unless_asked_for() -> None:
    assert env(resolved(sleepMode=False)) == {}
    assert "--enable-sleep-mode" not in resolved().argv
