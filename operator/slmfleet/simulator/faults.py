"""Faults on demand: from the start by SLMFLEET_SIM_FAULT, at run time by POST /sim/fault; the same JSON object."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from .failures import CRASHES

HEALTH: Final = ("ok", "unavailable", "hang")
METRICS: Final = ("ok", "nan", "missing", "error", "hang")


class FaultError(ValueError):
    """A fault that does not exist or has a value that makes no sense."""


@dataclass(frozen=True)
class Faults:
    """What is wrong with this server; the defaults are a healthy one. Field names are the JSON keys."""

    crash: str | None = None
    """At start only: end with this cause in the log, a name from failures.CRASHES or a text of its own."""
    crash_exit_code: int = 1
    start_seconds: float | None = None
    """At start only: how long the start takes, instead of SLMFLEET_SIM_START_SECONDS."""
    die_after_seconds: float | None = None
    """Engine death so many seconds after it is set (at start: after the server is ready); vLLM then exits with 0."""
    health: str = "ok"
    """/health answers: ok, unavailable (503) or hang (never)."""
    metrics: str = "ok"
    """/metrics: ok, nan (gauges are NaN), missing (no vllm: family), error (500) or hang (never)."""
    slow_factor: float = 1.0
    """Every step takes so many times as long."""
    stall: bool = False
    """The engine stops stepping, as a hung one: requests stay, iteration_tokens_total is flat, /health says 200."""
    error_status: int | None = None
    """Every inference request answers this HTTP status."""

    def changed(self, changes: Mapping[str, Any]) -> "Faults":
        """These faults with `changes` on top; null brings a key's default back. Raises FaultError."""
        defaults: dict[str, Any] = {item.name: item.default for item in fields(self)}
        for name, value in changes.items():
            if name not in defaults:
                raise FaultError(f"{name!r} is not a fault; known are {', '.join(defaults)}")
            _check(name, value)
        return replace(self, **{name: defaults[name] if value is None else value for name, value in changes.items()})

    def crash_text(self) -> str:
        """The cause that a crash leaves in the log."""
        return CRASHES.get(self.crash or "", self.crash or "")


_NUMBERS: Final = {
    # name: least value
    "start_seconds": 0.0,
    "die_after_seconds": 0.0,
    "slow_factor": 0.0,
}
_CHOICES: Final = {"health": HEALTH, "metrics": METRICS}


def _check(name: str, value: object) -> None:
    if value is None:
        return
    if name in _NUMBERS:
        right = isinstance(value, int | float) and not isinstance(value, bool) and value >= _NUMBERS[name]
        wanted = f"a number of at least {_NUMBERS[name]:g}"
    elif name in _CHOICES:
        right, wanted = value in _CHOICES[name], "one of " + ", ".join(_CHOICES[name])
    elif name == "stall":
        right, wanted = isinstance(value, bool), "true or false"
    elif name == "crash":
        right, wanted = isinstance(value, str), "a text"
    else:
        low, high = (400, 599) if name == "error_status" else (0, 255)
        right = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        wanted = f"a whole number from {low} to {high}"
    if not right:
        raise FaultError(f"{name}: {value!r} must be {wanted}")
