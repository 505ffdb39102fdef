"""What the simulator is told by its environment; everything else comes by vLLM's own flags."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from slmfleet.engine import steptime
from slmfleet.engine.steptime import StepTime

PREFIX: Final = "SLMFLEET_SIM_"
_INSTEAD_OF_STEP_TIME: Final = ("decode_step_ms", "prefill_tokens_per_second")


class SettingsError(ValueError):
    """An environment variable of the simulator itself that can't be used."""


@dataclass(frozen=True)
class Settings:
    """Each field is the variable SLMFLEET_SIM_<NAME IN CAPITALS>."""

    version: str = "0.32.0"
    """The vLLM release to look like, 0.11.0 to 0.33.x."""
    start_seconds: float = 0.3
    """From the start of the process to the first answer on the port."""
    prefill_tokens_per_second: float = 8000.0
    """Prompt tokens that one engine step can compute per second."""
    decode_step_ms: float = 20.0
    """Length of a step that only decodes, in milliseconds: the ITL of an unloaded engine."""
    step_time: StepTime | None = None
    """Instead of the two above: a row of engine/steptime.json, such as L4-8B, or its coefficients in seconds as a JSON
    object, such as {"a": 0.02, "p": 0.0001, "d": 0, "kappa": 0}."""
    kv_blocks: int = 8192
    """KV-cache blocks; --num-gpu-blocks-override wins."""
    output_tokens: int = 64
    """Length of an answer whose request sets no max_tokens (it ends with finish_reason "stop")."""
    lora_load_seconds: float = 0.05
    """How long the engine takes to load a LoRA adapter."""
    fault: Mapping[str, Any] = field(default_factory=dict)
    """Faults from the start, a JSON object as POST /sim/fault takes it."""

    @property
    def step(self) -> StepTime:
        """How long the engine's steps take."""
        return self.step_time or StepTime(a=self.decode_step_ms / 1000, p=1 / self.prefill_tokens_per_second)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`. Raises SettingsError with the variable, its value and what is wanted."""
    readers: dict[str, Callable[[str], Any]] = {
        "version": str,
        "start_seconds": _number(float, 0.0),
        "prefill_tokens_per_second": _number(float, 0.001),
        "decode_step_ms": _number(float, 0.0),
        "step_time": _step_time,
        "kv_blocks": _number(int, 1),
        "output_tokens": _number(int, 1),
        "lora_load_seconds": _number(float, 0.0),
        "fault": _json_object,
    }
    values: dict[str, Any] = {}
    for name, read in readers.items():
        variable = PREFIX + name.upper()
        if variable in environment:
            try:
                values[name] = read(environment[variable])
            except ValueError as error:
                raise SettingsError(f"{variable}={environment[variable]!r}: {error}") from error
    if doubled := [name for name in _INSTEAD_OF_STEP_TIME if name in values and "step_time" in values]:
        raise SettingsError(f"{PREFIX}STEP_TIME and {PREFIX}{doubled[0].upper()} say the same: leave one of them out")
    return Settings(**values)


def _number(kind: type[int] | type[float], least: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not value >= least:  # also refuses NaN
            raise ValueError(f"must be at least {least:g}")
        return value

    return read


def _step_time(text: str) -> StepTime:
    return StepTime.of(_json_object(text)) if text.lstrip().startswith("{") else steptime.named(text)


def _json_object(text: str) -> dict[str, Any]:
    loaded = json.loads(text)
    if not isinstance(loaded, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - the caller words ValueError for people
    return loaded
