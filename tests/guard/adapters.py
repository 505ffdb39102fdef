"""Adapters as folders, made by hand."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from slmfleet.guard.adapter_files import inspect
from slmfleet.guard.adapter_tensors import InvalidAdapterError

CONFIG: dict[str, Any] = {
    "base_model_name_or_path": "Qwen/Qwen3-8B",
    "bias": "none",
    "lora_alpha": 32,
    "modules_to_save": None,
    "peft_type": "LORA",
    "r": 2,
    "revision": None,
    "target_modules": ["q_proj", "v_proj"],
    "task_type": "CAUSAL_LM",
    "use_dora": False,
    "use_rslora": False,
}
BYTES = {"BF16": 2, "F32": 4}
PREFIX = "base_model.model.model.layers"

Shapes = Mapping[str, Sequence[int]]


def matrices(module: str, rank: int = 2, width: int = 8, out: int = 4) -> dict[str, list[int]]:
    """lora_A and lora_B of one module, by the tensors' names."""
    return {f"{module}.lora_A.weight": [rank, width], f"{module}.lora_B.weight": [out, rank]}


def layers(count: int = 2, targets: Sequence[str] = ("q_proj", "v_proj"), rank: int = 2) -> dict[str, list[int]]:
    """The matrices of `count` layers."""
    made: dict[str, list[int]] = {}
    for layer in range(count):
        for target in targets:
            made |= matrices(f"{PREFIX}.{layer}.self_attn.{target}", rank)
    return made


def header(shapes: Shapes, dtype: str = "BF16") -> dict[str, Any]:
    """What a safetensors file says of tensors that lie one behind the other."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        end = at + math.prod(shape) * BYTES[dtype]
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    return entries


def safetensors(entries: object, data: int | None = None) -> bytes:
    """The file with this header and as many zeros as it says, or `data`."""
    if data is None:
        assert isinstance(entries, dict)
        data = max(entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__")
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


def adapter(folder: Path, shapes: Shapes | None = None, dtype: str = "BF16", **config: Any) -> Path:
    """A folder as PEFT writes it; `config` changes keys of adapter_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | config))
    tensors = layers() if shapes is None else shapes
    (folder / "adapter_model.safetensors").write_bytes(safetensors(header(tensors, dtype)))
    return folder


def refused(folder: Path, root: Path | None = None) -> tuple[str, str]:
    """The reason and the words with which a folder is refused."""
    with pytest.raises(InvalidAdapterError) as error:
        inspect(folder, root)
    return error.value.reason, str(error.value)
