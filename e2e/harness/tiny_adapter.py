"""Adapters of the tiny model, whose answers differ from the model's and from each other's."""

import array
import json
import random
from pathlib import Path
from typing import Any

LAYERS, HIDDEN = 2, 128
OUT = {"q_proj": 128, "v_proj": 64}
"""Two key-value heads of 32 to four query heads."""
CONFIG: dict[str, Any] = {
    "base_model_name_or_path": "tiny",
    "bias": "none",
    "lora_alpha": 32,
    "peft_type": "LORA",
    "r": 8,
    "target_modules": sorted(OUT),
    "task_type": "CAUSAL_LM",
}


def make(folder: Path, seed: int, *, hidden: int = HIDDEN, **config: object) -> Path:
    """A folder as PEFT writes it, with weights that `seed` decides; `config` changes adapter_config.json."""
    folder.mkdir(parents=True)
    settings = CONFIG | config
    (folder / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    header: dict[str, Any] = {}
    data = array.array("f")
    source = random.Random(seed)
    for layer in range(LAYERS):
        for target, out in OUT.items():
            module = f"base_model.model.model.layers.{layer}.self_attn.{target}"
            for side, shape in (("A", [settings["r"], hidden]), ("B", [out, settings["r"]])):
                begin = len(data) * data.itemsize
                data.extend(source.gauss(0.0, 0.5) for _ in range(shape[0] * shape[1]))
                place = [begin, len(data) * data.itemsize]
                header[f"{module}.lora_{side}.weight"] = {"dtype": "F32", "shape": shape, "data_offsets": place}
    text = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data.tobytes())
    return folder
