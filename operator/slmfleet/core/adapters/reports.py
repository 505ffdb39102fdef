"""What the guard of a pod says about the adapters there."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from slmfleet.api.conditions import Reason

from .adapter import served_of

LOADED: Final = "Loaded"
FAILED: Final = "Failed"
DRAINING: Final = "Draining"
MAX_RUNNING: Final = 1_000_000
"""Requests in one engine that are believed."""

_WRAPPING: Final = re.compile(
    r"Call to \w+ method failed: |Worker failed with error '|', please check the stack trace above for the root cause"
)
"""What vLLM puts around a worker's words (vllm/v1/engine/core.py, vllm/v1/executor/multiproc_executor.py); readers of a
status see no stack trace."""
_MEANS: Final = {"ShapeMismatch": ": it was made for a model of another size, and this one needs one of its own"}


@dataclass(frozen=True)
class Held:
    """One adapter in one engine, by its engine-side name."""

    state: str
    """Loading, Loaded, Failed or Draining."""
    path: str = ""
    reason: str = ""
    message: str = ""
    seconds: float = 0.0
    """How long its load took."""
    running: int = 0
    """Its requests in flight."""

    @property
    def told(self) -> str:
        """Why it is as it is, for people: the engine's words, and what they mean where they do not say."""
        return (self.message or self.reason) + _MEANS.get(self.reason, "")


@dataclass(frozen=True)
class Report:
    """The last word of one guard."""

    adapters: Mapping[str, Held] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Served name -> engine-side name."""

    @classmethod
    def read(cls, told: Any) -> "Report":  # noqa: ANN401 - JSON of a guard, maybe of another release
        """As GET /slmfleet/adapters answers. Raises ValueError for anything else."""
        try:
            adapters = {str(name): _held(each) for name, each in told["adapters"].items()}
            return cls(adapters, {str(name): str(target) for name, target in told["aliases"].items()})
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"not what a guard says about adapters: {error!r}") from None

    def loaded(self, name: str) -> bool:
        """Whether the engine lists it."""
        return name in self.adapters and self.adapters[name].state == LOADED

    def answering(self, served: str) -> str | None:
        """The engine-side name that requests for `served` get; None where they get none that is loaded."""
        name = self.aliases.get(served)
        return name if name is not None and self.loaded(name) else None

    def running(self) -> Counter[str]:
        """Requests in flight by served name, those of all versions together."""
        found: Counter[str] = Counter()
        for name, held in self.adapters.items():
            found[served_of(name)] += held.running
        return found

    @property
    def settled(self) -> bool:
        """Whether nothing is under way in it."""
        return all(held.state in (LOADED, FAILED) for held in self.adapters.values())


def reason_of(told: object, otherwise: Reason) -> Reason:
    """A reason in the words of a guard or the fetcher, as far as it is one of ours."""
    try:
        return Reason(str(told))
    except ValueError:
        return otherwise


def _held(told: Mapping[str, Any]) -> Held:
    return Held(
        str(told["state"]),
        str(told.get("path") or ""),
        str(told.get("reason") or ""),
        _WRAPPING.sub("", str(told.get("message") or "")),
        float(told.get("seconds") or 0.0),
        max(0, min(int(told.get("running") or 0), MAX_RUNNING)),
    )
