"""What is read of an adapter's files."""

import json
from pathlib import Path
from typing import Any

import pytest

from slmfleet.guard.adapter_files import inspect

from .adapters import PREFIX, adapter, layers, matrices, refused


def test_the_facts_of_an_ordinary_adapter(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "README.md").write_text("hello")
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert inspect(folder) == {
        "bytes": size,
        "base": "Qwen/Qwen3-8B",
        "revision": None,
        "rank": 2,
        "ranks": [2],
        "alpha": 32,
        "targets": ["q_proj", "v_proj"],
        "bias": "none",
        "dora": False,
        "rslora": False,
        "modulesToSave": [],
        "features": [],
        "dtype": "BF16",
        "layers": 2,
        "shapes": {"q_proj": [8, 4], "v_proj": [8, 4]},
        "peftType": "LORA",
        "taskType": "CAUSAL_LM",
        "moe": False,
    }


def test_targets_are_those_of_the_tensors(tmp_path: Path) -> None:
    folder = adapter(tmp_path, layers(1, ["q_proj"]), target_modules=["q_proj", "o_proj"])
    assert inspect(folder)["targets"] == ["q_proj"]


def test_a_rank_pattern_shows_in_the_ranks_and_as_a_feature(tmp_path: Path) -> None:
    tensors = layers(1) | matrices(f"{PREFIX}.1.self_attn.q_proj", rank=64)
    facts = inspect(adapter(tmp_path, tensors, rank_pattern={"layers.1.self_attn.q_proj": 64}))
    assert (facts["rank"], facts["ranks"], facts["features"]) == (2, [2, 64], ["rank_pattern"])


def test_shapes_that_differ_between_layers_are_listed(tmp_path: Path) -> None:
    tensors = layers(1) | matrices(f"{PREFIX}.1.self_attn.q_proj", out=16)
    assert inspect(adapter(tmp_path, tensors))["shapes"] == {"q_proj": [[8, 4], [8, 16]], "v_proj": [8, 4]}


def test_layers_reach_to_the_highest_one(tmp_path: Path) -> None:
    assert inspect(adapter(tmp_path, matrices(f"{PREFIX}.35.mlp.down_proj")))["layers"] == 36


@pytest.mark.parametrize(
    ("tensors", "config", "fact", "expected"),
    [
        ({}, {"use_dora": True}, "dora", True),
        ({f"{PREFIX}.0.self_attn.q_proj.lora_magnitude_vector": [4]}, {}, "dora", True),
        ({}, {"use_rslora": True}, "rslora", True),
        ({}, {"bias": "lora_only"}, "bias", "lora_only"),
        ({f"{PREFIX}.0.self_attn.q_proj.bias": [4]}, {}, "bias", "all"),
        ({}, {"modules_to_save": ["lm_head"]}, "modulesToSave", ["lm_head"]),
        ({"base_model.model.lm_head.weight": [9, 8]}, {}, "modulesToSave", ["lm_head"]),
        ({"base_model.model.model.embed_tokens.base_layer.weight": [9, 8]}, {}, "modulesToSave", []),
        (matrices(f"{PREFIX}.0.mlp.experts.3.up_proj"), {}, "moe", True),
        ({}, {"lora_bias": True}, "features", ["lora_bias"]),
        ({}, {"init_lora_weights": "pissa_niter_16"}, "features", ["init_lora_weights=pissa_niter_16"]),
        ({}, {"init_lora_weights": "gaussian"}, "features", []),
        ({}, {"peft_type": "IA3"}, "peftType", "IA3"),
        ({}, {"base_model_name_or_path": None}, "base", None),
        ({}, {"lora_alpha": 0.5}, "alpha", 0.5),
    ],
)
def test_what_engines_may_not_serve_is_told(
    tmp_path: Path, tensors: dict[str, list[int]], config: dict[str, Any], fact: str, expected: object
) -> None:
    assert inspect(adapter(tmp_path, layers() | tensors, **config))[fact] == expected


def test_embeddings_are_targets_like_others(tmp_path: Path) -> None:
    module = "base_model.model.model.embed_tokens"
    tensors = {f"{module}.lora_embedding_A": [2, 100], f"{module}.lora_embedding_B": [8, 2]}
    assert inspect(adapter(tmp_path, tensors))["shapes"] == {"embed_tokens": [100, 8]}


def test_facts_fit_into_a_termination_message(tmp_path: Path) -> None:
    several = layers(1, [f"target_{number:03}" for number in range(60)])
    assert len(json.dumps(inspect(adapter(tmp_path, several)) | {"digest": "sha256:" + "0" * 64})) <= 4096
    many = layers(1, [f"target_{number:03}" for number in range(300)])
    assert refused(adapter(tmp_path, many))[0] == "Unsupported"
