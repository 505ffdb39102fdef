"""Values on vLLM's command line: the converters of its flag types, with its error texts.

Sources: vllm/utils/argparse_utils.py (human_readable_int) and vllm/engine/arg_utils.py (the others) of vLLM 0.33.0.
"""

import json
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any, Final

Converter = Callable[[str], Any]

_HUMAN: Final = re.compile(r"(\d+(?:\.\d+)?)([kKmMgGtT])")
_SUFFIXED: Final = re.compile(rf"\b{_HUMAN.pattern}\b")
_QUOTED: Final = re.compile(r'("(?:[^"\\]|\\.)*")')
_DECIMAL: Final = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def human_readable_int(value: str) -> int:
    """'8k' is 8,000 (decimal, fractions allowed), '8K' is 8,192 (binary, whole numbers only), else a plain integer."""
    match = _HUMAN.fullmatch(value.strip())
    if match is None:
        return int(value)
    number, suffix = match.groups()
    if suffix in _DECIMAL:
        return int(float(number) * _DECIMAL[suffix])
    try:
        return int(number) * _BINARY[suffix]
    except ValueError as error:
        raise ArgumentTypeError(
            "Decimals are not allowed with binary suffixes like "
            f"{suffix}. Did you mean to use {number}{suffix.lower()} instead?"
        ) from error


def human_readable_int_or_auto(value: str) -> int:
    """As human_readable_int; 'auto' and '-1' are -1: the longest context that fits the memory."""
    return -1 if value.strip().lower() == "auto" else human_readable_int(value)


def json_object(value: str) -> dict[str, Any]:
    """A JSON object, where vLLM fills one of its configuration dataclasses; a bare number is refused as there.

    Numbers in it may have the suffixes of human_readable_int, as in vLLM from 0.20 on.
    """
    pieces = _QUOTED.split(value)
    pieces[::2] = (_SUFFIXED.sub(lambda match: str(human_readable_int(match.group())), piece) for piece in pieces[::2])
    try:
        loaded = json.loads("".join(pieces))
    except json.JSONDecodeError as error:
        raise ArgumentTypeError(f"1 validation error\n  Invalid JSON: {error}") from error
    if not isinstance(loaded, dict):
        raise ArgumentTypeError(
            "1 validation error\n  Input should be a dictionary or an instance of the configuration"
        )
    return loaded


def json_or_str(value: str) -> object:
    """A JSON object, or the text itself (a path or a name)."""
    return json.loads(value) if re.match(r"(?s)^\s*{.*}\s*$", value) else value


def name_or_none(value: str) -> str | None:
    """A name; "none" in any case stands for no value."""
    return None if value.lower() == "none" else value


def snake_case(value: str) -> str:
    """A name that vLLM takes in any case and with dashes, as it is in the choices."""
    return value.lower().replace("-", "_")


def lora_module(value: str) -> str | dict[str, Any]:
    """name=path, or a JSON object with at least both."""
    if not value or ("=" in value and "," not in value):
        return value
    loaded = json_object(value)
    if not loaded.keys() >= {"name", "path"}:
        raise ArgumentTypeError(f"Invalid fields: {value}")
    return loaded


BY_NAME: Final[dict[str, Converter]] = {
    "str": str,
    "int": int,
    "float": float,
    "json": json.loads,
    "json-object": json_object,
    "json-or-str": json_or_str,
    "human-int": human_readable_int,
    "human-int-or-auto": human_readable_int_or_auto,
    "name-or-none": name_or_none,
    "snake-case": snake_case,
    "lora-module": lora_module,
}


def optional(convert: Converter) -> Converter:
    """A converter where '' and 'None' mean no value; it words a bad value as vLLM's optional_type does."""

    def converted(value: str) -> object:
        if value in {"", "None"}:
            return None
        try:
            return convert(value)
        except ValueError as error:
            raise ArgumentTypeError(f"Value {value} cannot be converted to {convert}.") from error

    return converted
