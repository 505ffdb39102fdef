"""What is read of an adapter's files, and what is refused."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.guard.adapter_files import digest, inspect
from slmfleet.guard.adapter_tensors import InvalidAdapterError, facts_of_tensors, tensors_of

from .adapters import PREFIX, adapter, header, layers, matrices, safetensors


def refused(folder: Path, root: Path | None = None) -> tuple[str, str]:
    with pytest.raises(InvalidAdapterError) as error:
        inspect(folder, root)
    return error.value.reason, str(error.value)


def weights(folder: Path, content: bytes) -> Path:
    (adapter(folder) / "adapter_model.safetensors").write_bytes(content)
    return folder


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


@pytest.mark.parametrize("name", ["adapter_model.bin", "optimizer.pt", "deep/x.PKL"])
def test_a_pickle_is_refused_wherever_it_lies(tmp_path: Path, name: str) -> None:
    file = adapter(tmp_path) / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"\x80\x04.")
    reason, text = refused(tmp_path)
    assert (reason, text.partition(" ")[0]) == ("PickleRefused", name)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_both_files_must_be_there(tmp_path: Path, name: str) -> None:
    (adapter(tmp_path) / name).unlink()
    assert refused(tmp_path) == ("NotFound", f"there is no {name} in the folder")


def test_no_folder(tmp_path: Path) -> None:
    assert refused(tmp_path / "a") == ("NotFound", "there is no such folder")


def test_a_folder_outside_of_the_root_is_refused(tmp_path: Path) -> None:
    adapter(tmp_path / "theirs")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "theirs")
    for path in ("root/../theirs", "root/link"):
        assert refused(tmp_path / path, tmp_path / "root")[0] == "UnsafeFile"
    # A name that only begins like the root's is another folder.
    adapter(tmp_path / "root-of-others")
    assert refused(tmp_path / "root-of-others", tmp_path / "root")[0] == "UnsafeFile"


def test_a_file_that_links_out_of_the_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    folder = adapter(tmp_path / "root" / "a")
    (folder / "notes.txt").symlink_to(tmp_path / "secret")
    assert refused(folder, tmp_path / "root") == ("UnsafeFile", f"notes.txt is a link out of {tmp_path / 'root'}")


def test_links_within_the_root_are_followed(tmp_path: Path) -> None:
    # As the hub's cache has them: snapshots/<revision>/<file> leads to blobs/<hash>.
    blobs, folder = adapter(tmp_path / "blobs"), tmp_path / "snapshots" / "1"
    folder.mkdir(parents=True)
    for file in blobs.iterdir():
        (folder / file.name).symlink_to(file)
    assert inspect(folder, tmp_path) == inspect(blobs)
    assert digest(folder, tmp_path) == digest(blobs)
    assert refused(folder)[0] == "UnsafeFile"


def test_a_link_to_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (adapter(tmp_path / "a") / "more").symlink_to(tmp_path / "more")
    assert refused(tmp_path / "a", tmp_path) == ("UnsafeFile", "more is neither a file nor a folder")


def test_a_broken_link_is_refused(tmp_path: Path) -> None:
    (adapter(tmp_path) / "x.json").symlink_to("nowhere")
    assert refused(tmp_path)[0] == "NotFound"


def test_a_pipe_is_refused_and_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(adapter(tmp_path) / "x.json")
    assert refused(tmp_path) == ("UnsafeFile", "x.json is neither a file nor a folder")


@pytest.mark.parametrize("name", ["a\nb", "a\\b", b"\xff"])
def test_names_that_would_blur_the_digest_are_refused(tmp_path: Path, name: str | bytes) -> None:
    (adapter(tmp_path) / os.fsdecode(name)).touch()
    assert refused(tmp_path)[0] == "UnsafeFile"


def test_files_that_the_engine_may_not_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    adapter(tmp_path)
    monkeypatch.setattr(os, "open", denied)
    assert refused(tmp_path) == ("NotFound", "adapter_config.json cannot be read: Permission denied")


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    adapter(tmp_path)
    for number in range(1000):
        (tmp_path / f"{number}.txt").touch()
    assert refused(tmp_path)[0] == "TooLarge"


def test_a_huge_configuration_is_not_read(tmp_path: Path) -> None:
    adapter(tmp_path, auto_mapping="x" * 2**16)
    assert refused(tmp_path) == ("TooLarge", "adapter_config.json has more than 65536 bytes")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("r", value) for value in (0, -1, "16", None, True, 1.5)],
        *[("lora_alpha", value) for value in (None, "32")],
        *[("base_model_name_or_path", value) for value in (1, "x" * 257)],
        ("modules_to_save", "lm_head"),
    ],
)
def test_a_configuration_that_makes_no_sense_names_the_key(tmp_path: Path, key: str, value: Any) -> None:
    reason, text = refused(adapter(tmp_path, **{key: value}))
    assert (reason, text.startswith(f"adapter_config.json: {key} is ")) == ("Malformed", True)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{", b"\xff", b'{"r": 1, "r": 2}', b"[" * 30000, b'{"r": ' + b"9" * 60000 + b"}"],
    ids=["empty", "list", "cut", "no UTF-8", "twice", "deep", "long number"],
)
def test_a_configuration_that_is_no_json_object(tmp_path: Path, text: bytes) -> None:
    (adapter(tmp_path) / "adapter_config.json").write_bytes(text)
    assert refused(tmp_path)[0] == "Malformed"


def test_a_huge_header_is_not_read(tmp_path: Path) -> None:
    size = 8 * 2**20 + 1
    content = size.to_bytes(8, "little") + bytes(size)
    assert refused(weights(tmp_path, content))[0] == "TooLarge"


GOOD = header(layers(1))
ONE = f"{PREFIX}.0.self_attn.q_proj.lora_A.weight"


def changed(**entry: object) -> bytes:
    size = max(entry["data_offsets"][1] for name, entry in GOOD.items() if name != "__metadata__")
    return safetensors(GOOD | {ONE: GOOD[ONE] | entry}, size)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01\x02",
        (2**63).to_bytes(8, "little") + b"{}",
        safetensors(b"{", 0),
        safetensors(b"[]", 0),
        safetensors({"__metadata__": {}}, 0),
        safetensors(GOOD)[:-1],
        safetensors(GOOD) + b"x",
        safetensors(GOOD | {ONE: []}, 64),
        changed(dtype="PICKLE"),
        changed(dtype=["BF16"]),
        changed(shape=[2, 9]),
        changed(shape=[-2, -8]),
        changed(shape=[2.0, 8]),
        changed(shape=None),
        changed(data_offsets=[0]),
        changed(data_offsets=[32, 64]),
        changed(data_offsets=[32, 0]),
    ],
    ids=lambda content: repr(content[:40]),
)
def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path, content: bytes) -> None:
    assert refused(weights(tmp_path, content))[0] == "Malformed"


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({f"{PREFIX}.0.q_proj.weight": [4, 8]}, "none of the weights' tensors is a lora_A or lora_B"),
        ({ONE: [2, 8]}, "has only one of lora_A and lora_B"),
        (matrices("m") | {"m.lora_B.weight": [4, 3]}, "m: lora_A [2, 8] and lora_B [4, 3] are no"),
        (matrices("m") | {"m.lora_A.weight": [2, 8, 1]}, "m: lora_A [2, 8, 1] and"),
        (matrices("m", rank=0), "m: lora_A [0, 8] and"),
    ],
)
def test_tensors_that_are_no_pairs_of_matrices_are_refused(
    tmp_path: Path, tensors: dict[str, list[int]], why: str
) -> None:
    reason, text = refused(adapter(tmp_path, tensors))
    assert (reason, why in text) == ("Malformed", True)


def test_facts_fit_into_a_termination_message(tmp_path: Path) -> None:
    several = layers(1, [f"target_{number:03}" for number in range(60)])
    assert len(json.dumps(inspect(adapter(tmp_path, several)) | {"digest": "sha256:" + "0" * 64})) <= 4096
    many = layers(1, [f"target_{number:03}" for number in range(300)])
    assert refused(adapter(tmp_path, many))[0] == "Unsupported"


def test_the_digest_is_what_sha256sum_makes_of_the_names_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    (folder / "sub").mkdir(parents=True)
    for name, text in {"b": "2", "a": "1", "B": "3", "sub/a": "", ".hidden": "x"}.items():
        (folder / name).write_text(text)
    names = [".hidden", "B", "a", "b", "sub/a"]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    assert digest(folder) == "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()
    assert digest(folder) == "sha256:a9bbc8eb8f370f13e4a27b85d65ce3d3f82198a0710f30b9849f4b6443bcd274"


@pytest.mark.parametrize("change", ["content", "name", "more", "less"])
def test_every_change_of_a_file_changes_the_digest(tmp_path: Path, change: str) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "x.txt").write_text("x")
    before = digest(folder)
    copy = shutil.copytree(folder, tmp_path / "b")
    assert digest(copy) == before
    match change:
        case "content":
            (copy / "x.txt").write_text("y")
        case "name":
            (copy / "x.txt").rename(copy / "y.txt")
        case "more":
            (copy / "y.txt").touch()
        case _:
            (copy / "x.txt").unlink()
    assert digest(copy) != before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["BF16", "F4"]) | JSON,
        "shape": st.lists(st.integers(-1, 4)) | JSON,
        "data_offsets": st.lists(st.integers(-1, 64)) | JSON,
    },
)
NAMES = st.sampled_from(["a.lora_A.weight", "a.lora_B.weight", "a.lora_B", "__metadata__", ".lora_A", ""]) | st.text()


@given(st.dictionaries(NAMES, ENTRY | JSON, max_size=4), st.integers(0, 200))
def test_any_header_is_read_or_refused(entries: dict[str, Any], size: int) -> None:
    config = {"dora": False, "bias": "none", "modulesToSave": []}
    try:
        facts = facts_of_tensors(config, tensors_of(entries, size))
    except InvalidAdapterError:
        pass
    else:
        assert json.loads(json.dumps(facts)) == facts
