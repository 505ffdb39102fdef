"""Looks at a fleet of engines whose pages the test writes."""

from math import inf
from typing import Any

from slmfleet.core.autoscale.fleet import FleetLooks, Objectives, Reading
from slmfleet.core.autoscale.signals import Signals
from slmfleet.engine.histogram import Histogram
from slmfleet.engine.page import EngineState, Page

OBJECTIVES = Objectives(first_token=1.0, token_gap=0.1)
EMPTY = Histogram((0.1, 1.0, inf), (0.0, 0.0, 0.0))
AMOUNTS = (
    "first_tokens",
    "late_first_tokens",
    "prompt_tokens",
    "cached_prompt_tokens",
    "generated_tokens",
    "finished",
    "finished_generated_tokens",
    "late_tokens",
    "token_gaps",
    "preemptions",
)


def page(running: float = 1.0, waiting: float = 0.0, *, engines: int = 1, **changes: Any) -> Page:
    """An engine that has done nothing yet; `steps` move it."""
    steps = changes.get("steps", 0.0)
    fields: dict[str, Any] = {
        "engines": {str(n): EngineState(running, waiting, 0.5, steps, 0.0) for n in range(engines)},
        "running": running,
        "waiting": waiting,
        "waiting_by_reason": {},
        "kv_capacity": 1000.0,
        "kv_usage": 0.5,
        **dict.fromkeys(
            (
                "prompt_tokens",
                "cached_prompt_tokens",
                "generated_tokens",
                "preemptions",
                "prefix_queries",
                "prefix_hits",
                "finished",
                "finished_generated_tokens",
                "steps",
                "step_tokens",
                "queued",
                "queue_seconds",
            ),
            0.0,
        ),
        "first_token": EMPTY,
        "token_gap": EMPTY,
    }
    return Page(**fields | changes)


class Fleet:
    """Looks at pods every two seconds."""

    def __init__(self) -> None:
        self.looks: FleetLooks[str] = FleetLooks(hung_after=30.0)
        self.now = 1000.0

    def look(self, seconds: float = 2.0, *, pending: int = 0, **pods: Page | None) -> Signals:
        self.now += seconds
        ready = {name: None if it is None else Reading(self.now, it) for name, it in pods.items()}
        return self.looks.look(self.now, ready, pending, OBJECTIVES)


def amounts(signals: Signals) -> dict[str, float]:
    return {name: getattr(signals, name) for name in AMOUNTS}
