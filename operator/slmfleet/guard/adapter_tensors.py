"""What the tensors of a LoRA adapter say, by the header of their safetensors file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

Facts = dict[str, Any]
"""JSON; the keys are those of docs/adapters.md."""

# Bits of one element (safetensors/src/tensor.rs).
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
# As PEFT writes them, with or without the name of the adapter behind the matrix.
_LORA = re.compile(r"(?P<module>.+)\.lora_(?:embedding_)?(?P<side>[AB])(?:\.weight)?")
_LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d{1,6})\.")


class InvalidAdapterError(Exception):
    """Files that no engine is asked to load: `reason` is a code, the text says what is wrong."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Tensor(NamedTuple):
    """One tensor's type and shape."""

    dtype: str
    shape: tuple[int, ...]


def tensors_of(header: Mapping[str, Any], size: int) -> dict[str, Tensor]:
    """The tensors by name; `size`: bytes of data behind the header. Raises InvalidAdapterError."""
    tensors: dict[str, Tensor] = {}
    ranges = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        tensor, begin, end = _tensor(name, entry)
        tensors[name] = tensor
        ranges.append((begin, end))
    if not tensors:
        raise InvalidAdapterError("Malformed", "the weights have no tensors")
    at = 0
    for begin, end in sorted(ranges):
        if begin != at or end < begin:
            raise InvalidAdapterError("Malformed", f"the tensors leave or share bytes at {at} of the weights' data")
        at = end
    if at != size:
        raise InvalidAdapterError("Malformed", f"the weights have {size} bytes of data; their header says {at}")
    return tensors


def _tensor(name: str, entry: object) -> tuple[Tensor, int, int]:
    values = entry if isinstance(entry, dict) else {}
    bits = _BITS.get(str(values.get("dtype")))
    shape, place = _numbers(values.get("shape")), _numbers(values.get("data_offsets"))
    if bits is None or shape is None or place is None or len(place) != 2:
        raise InvalidAdapterError("Malformed", f"the weights' header has no type, shape or place of {name[:200]}")
    begin, end = place
    if (end - begin) * 8 != math.prod(shape) * bits:
        raise InvalidAdapterError("Malformed", f"the weights' header gives {name[:200]} a place of the wrong size")
    return Tensor(str(values["dtype"]), tuple(shape)), begin, end


def _numbers(value: object) -> list[int] | None:
    valid = isinstance(value, list) and len(value) <= 8 and all(type(n) is int and n >= 0 for n in value)
    return cast("list[int]", value) if valid else None


def facts_of_tensors(config: Facts, tensors: Mapping[str, Tensor]) -> Facts:
    """The configuration's facts with those of the tensors, which count where the two differ."""
    sides: dict[str, dict[str, tuple[int, ...]]] = {}
    others: list[str] = []
    for name, tensor in tensors.items():
        match = _LORA.fullmatch(name)
        if match is None:
            others.append(name)
        else:
            sides.setdefault(match["module"], {})[match["side"]] = tensor.shape
    if not sides:
        raise InvalidAdapterError("Malformed", "none of the weights' tensors is a lora_A or lora_B")
    ranks: set[int] = set()
    shapes: dict[str, set[tuple[int, int]]] = {}
    for module, pair in sides.items():
        rank, shape = _matrices(module, pair)
        ranks.add(rank)
        shapes.setdefault(_last(module), set()).add(shape)
    layers = [int(number) for module in sides for number in _LAYER.findall(f".{module}.")[:1]]
    return {
        **config,
        **_beside(config, others),
        "ranks": sorted(ranks),
        "targets": sorted(shapes),
        "shapes": {name: _pairs(found) for name, found in sorted(shapes.items())},
        "dtype": ",".join(sorted({tensor.dtype for tensor in tensors.values()})),
        "layers": max(layers, default=-1) + 1,
        "moe": any("experts" in module.split(".") for module in sides),
    }


def _matrices(module: str, pair: Mapping[str, tuple[int, ...]]) -> tuple[int, tuple[int, int]]:
    """Rank and (in, out) of lora_A [rank, in] and lora_B [out, rank]."""
    a, b = pair.get("A"), pair.get("B")
    if a is None or b is None:
        raise InvalidAdapterError("Malformed", f"{module[:200]} has only one of lora_A and lora_B")
    if len(a) != 2 or len(b) != 2 or a[0] != b[1] or 0 in (*a, *b):
        what = f"lora_A {list(a)} and lora_B {list(b)}"
        raise InvalidAdapterError("Malformed", f"{module[:200]}: {what} are no [rank, in] and [out, rank]")
    return a[0], (a[1], b[0])


def _pairs(found: set[tuple[int, int]]) -> list[Any]:
    """The one pair, or a list of all where layers differ."""
    pairs = [list(pair) for pair in sorted(found)]
    return pairs[0] if len(pairs) == 1 else pairs


def _beside(config: Facts, others: list[str]) -> Facts:
    """What tensors other than the matrices tell: magnitudes (DoRA), biases, whole modules."""
    dora, bias, saved = config["dora"], config["bias"], set(config["modulesToSave"])
    for name in others:
        module, _, kind = name.rpartition(".")
        if "lora_magnitude_vector" in name.split("."):
            dora = True
        elif module.endswith(".base_layer"):
            continue  # the base model's own embeddings, which PEFT may save beside; engines leave them out
        elif kind == "bias":
            bias = "all" if bias == "none" else bias
        else:
            saved.add(_last(module or name))
    return {"dora": dora, "bias": bias, "modulesToSave": sorted(saved)}


def _last(module: str) -> str:
    """The name by which a target is known: `q_proj` of `base_model.model.model.layers.0.self_attn.q_proj`."""
    return module.rpartition(".")[2]
