"""How many replicas the load asks for: one consideration each, the highest wins."""

import math

from slmfleet.core.autoscale.decision import Need
from slmfleet.core.autoscale.load import Load, waiting
from slmfleet.core.autoscale.work import coverage

CHANCE = 0.3
"""Margin for chance, in square roots of the load: arrivals scatter that way."""
LEAN_QUANTILE = 0.7
"""Of the load, where the error budget allows to size for less than its peak."""
DRAIN_SHARE = 0.5
"""Share of the TTFT objective that the queue's prefill may take before it is worked off."""
DRAIN_SECONDS = 120.0
"""In which a queue is worked off."""
DRAIN_LOAD = 0.95
"""Share of a replica's capacity that is planned with while a queue is worked off."""


def needs(load: Load, lead: float) -> tuple[Need, ...]:
    """What each consideration asks for; `lead` is how many seconds a replica takes to start."""
    found = (work(load, lead), backlog(load), queue(load), kv_cache(load))
    return tuple(need for need in found if need is not None)


def chance(load: Load, work: float) -> float:
    """The margin for chance on top of a load."""
    return CHANCE * (1 - load.budget.dial.noise) * math.sqrt(work)


def work(load: Load, lead: float) -> Need:
    """Replicas for the highest load of the last minutes; where surprises recur, of the last half hour."""
    base = load.peak
    lean = load.budget.dial.peak
    if lean > 0:
        window = round(min(300.0, max(60.0, 16 * lead)))
        base += lean * (load.means.quantile(LEAN_QUANTILE, window) - base)
    margin, capacity = chance(load, base), load.capacity.value
    return Need(
        "work",
        (base + margin) / capacity,
        f"(work of {base:.1f} replicas at the peak of the last {_window(load)} + {margin:.1f} for chance)"
        f" / capacity {capacity:.2f}",
    )


def _window(load: Load) -> str:
    return f"{load.remembers // 60} min, since such waves recur," if load.surprises.recur else "minutes"


def backlog(load: Load) -> Need | None:
    """Replicas that work the queue off, once it takes a good part of the TTFT objective to prefill."""
    assert load.last is not None
    queued = load.model.step.p * load.model.queued_tokens(load.last)
    limit = DRAIN_SHARE * load.settings.ttft
    if queued <= limit * max(1, load.last.ready):
        return None
    return _drained("backlog", load, queued, f"{queued:.0f} s of prefill wait")


def queue(load: Load) -> Need | None:
    """Replicas that bring the queue down to its target."""
    assert load.last is not None
    depth = load.settings.queue_depth
    if depth is None:
        return None
    excess = waiting(load.last) - depth * max(1, load.last.ready)
    if excess <= 0:
        return None
    model = load.model
    each = model.step.p * model.prompt + model.output * model.decode
    return _drained("queue", load, excess * each, f"{excess:.0f} requests wait beyond {depth:g} for each replica")


def _drained(name: str, load: Load, seconds: float, why: str) -> Need:
    """Replicas that work off `seconds` of a replica besides the load."""
    arriving, capacity = load.recent(10), load.capacity.value
    return Need(
        name,
        (seconds / DRAIN_SECONDS + arriving) / DRAIN_LOAD / capacity,
        f"{why}: ({seconds:.0f} s / {DRAIN_SECONDS:.0f} s + arriving {arriving:.1f}) / {DRAIN_LOAD} / capacity"
        f" {capacity:.2f}",
    )


def kv_cache(load: Load) -> Need | None:
    """Replicas whose KV cache holds what runs and what waits in engines; a gateway's queue goes where there is room."""
    signals, model = load.last, load.model
    assert signals is not None
    if model.kv_capacity <= 0:
        return None
    target = min(1.0, load.settings.kv_target + 0.05 * load.budget.dial.noise)
    tokens = (signals.kv_tokens + signals.waiting * model.prompt) * coverage(signals)
    return Need(
        "kvCache",
        tokens / (target * model.kv_capacity),
        f"{tokens / 1000:.0f}k tokens running and waiting / ({target:.2f} x {model.kv_capacity / 1000:.0f}k)",
    )
