"""What the scaling loop knows about a fleet and hands to plan()."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .decision import Decision


@dataclass(frozen=True, slots=True)
class PodLoad:
    """What one engine had to do when it was last read."""

    running: float
    waiting: float
    cached_prompt_tokens: float = 0.0
    """Prompt tokens that its prefix cache has answered in the last minutes: what another pod would compute again."""

    @property
    def requests(self) -> float:
        """Requests that it has not answered yet."""
        return self.running + self.waiting


@dataclass(frozen=True, slots=True)
class Advice:
    """The last decision, and what it takes to carry it out."""

    decision: Decision
    missing: str = ""
    """Why the load is not known, for people; empty where it is."""
    learned: Mapping[str, Any] = field(default_factory=dict)
    loads: Mapping[str, PodLoad] = field(default_factory=dict)
    """By the pod's uid; who is missing could not be read."""
    hung: frozenset[str] = frozenset()
    """Uids of pods that have requests and have not made a token for long."""
