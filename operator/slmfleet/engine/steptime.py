"""How long one step of a vLLM engine takes, per GPU and model size.

seconds = a + p * prefill tokens + d * sequences + kappa * KV-cache tokens that the step attends to

steptime.json beside this file has the coefficients that are known, each with its source; the row `cpu-tiny` is written
by `python -m bench.calibrate --write`, the others by hand. Their `basis`: engine (fitted to runs of vLLM), kernels
(fitted to measured kernels; the host's share is missing), estimate, or measured (by bench.calibrate, on a CPU).
engine/roofline.py guesses what is not there.
"""

import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from math import isfinite
from typing import Any


@dataclass(frozen=True, slots=True)
class StepTime:
    """The coefficients of a step's length, all in seconds."""

    a: float
    """Of any step: reading the weights, launching kernels, the scheduler."""
    p: float
    """Per prompt token that the step computes."""
    d: float = 0.0
    """Per sequence that the step works on."""
    kappa: float = 0.0
    """Per token in the KV cache of the sequences that the step works on."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "StepTime":
        """From JSON. Raises ValueError for what is missing, unknown, or no number of at least 0."""
        names = [field.name for field in fields(cls)]
        if not {"a", "p"} <= values.keys() <= {*names}:
            raise ValueError(f"{', '.join(names)} are wanted (seconds; the last two may be left out)")
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not (isfinite(value) and value >= 0):
                raise ValueError(f"{name}: {value!r} is not a number of seconds, at least 0")
        return cls(**{name: float(value) for name, value in values.items()})


@cache
def known() -> Mapping[str, StepTime]:
    """By the name of a GPU and a size of model, such as L4-8B."""
    text = (importlib.resources.files(__package__) / "steptime.json").read_text(encoding="utf-8")
    names = {field.name for field in fields(StepTime)}
    return {
        row: StepTime.of({name: value for name, value in told.items() if name in names})
        for row, told in json.loads(text).items()
    }


def named(name: str) -> StepTime:
    """The coefficients of a row. Raises ValueError with the names there are."""
    if name not in known():
        raise ValueError(f"{name!r} is not a row of engine/steptime.json; there are {', '.join(known())}")
    return known()[name]
