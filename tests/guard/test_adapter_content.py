"""Configurations and weights whose content is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.guard.adapter_tensors import InvalidAdapterError, facts_of_tensors, tensors_of

from .adapters import PREFIX, adapter, header, layers, matrices, refused, safetensors


def weights(folder: Path, content: bytes) -> Path:
    (adapter(folder) / "adapter_model.safetensors").write_bytes(content)
    return folder


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
