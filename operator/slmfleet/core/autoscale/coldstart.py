"""How long a fleet's replicas take to start: measured on its own pods, phase by phase.

What a pod's status tells, to the second, without events or logs:

    created --scheduling--> on a node --pulling--> engine started --loading--> first answer

`pulling` is everything before the container runs: volumes, network, the image. `loading` is weights, compilation and
warm-up. A start counts when its engine came up at the first try: a restart in between measures a fault.
"""

from collections import deque
from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import pairwise
from math import ceil
from typing import Final, NamedTuple

from slmfleet.api.cold_start import ColdStartStatus, PhaseSeconds
from slmfleet.core.pod_status import condition, engine_status, is_ready
from slmfleet.core.types import Manifest

PRIOR_P50: Final = 110.0
PRIOR_P90: Final = 180.0
"""Seconds, before any start was measured: an 8B model on a node that has its image, as people report (vllm#11005)."""
KEPT: Final = 32
"""Starts: enough for a p90, few enough to follow a change of storage or image."""
KEPT_OVER_RESTART: Final = 8
"""Starts that stand in for what a status told, so that fresh ones soon outweigh them."""
ENOUGH: Final = 3
"""Starts of the present pod template from which on older ones do not count."""
EXPIRY_FACTOR: Final = 2.0
MIN_EXPIRY: Final = 60.0


class Start(NamedTuple):
    """Seconds that the phases of one start took."""

    scheduling: float
    pulling: float
    loading: float

    @property
    def total(self) -> float:
        """From creation to the first answer."""
        return sum(self)


class _Entry(NamedTuple):
    template: str
    """Hash of the pod template; empty for one from a status."""
    scheduling: float
    pulling: float
    loading: float
    total: float


class Ledger:
    """The last starts of one fleet."""

    def __init__(self, before: ColdStartStatus | None = None) -> None:
        """`before` is what the fleet's status told: a restart of the operator loses nothing that matters."""
        self._entries: deque[_Entry] = deque([] if before is None else _stand_ins(before), maxlen=KEPT)
        self._seen: set[str] = set()
        self._first_look = True

    def see(self, pods: Collection[Manifest]) -> None:
        """Take in the pods as they are.

        A pod that was ready before the first look may have been unready in between, and its last change to ready be no
        start: it counts only where there is nothing better.
        """
        takes = not (self._first_look and self._entries)
        self._first_look = False
        for pod in sorted(filter(is_ready, pods), key=_ready_since):
            uid = pod["metadata"]["uid"]
            if uid not in self._seen and takes and (start := start_of(pod)) is not None:
                template = (pod["metadata"].get("labels") or {}).get("pod-template-hash", "")
                self._entries.append(_Entry(template, *start, start.total))
            self._seen.add(uid)
        self._seen &= {pod["metadata"]["uid"] for pod in pods}

    def status(self) -> ColdStartStatus | None:
        """For people, and for the next operator; None before any start."""
        entries = self._relevant()
        if not entries:
            return None
        phases = {name: [getattr(entry, name) for entry in entries] for name in _Entry._fields[1:]}
        return ColdStartStatus(
            starts=len(entries),
            **{
                name: PhaseSeconds(p50=round(quantile(values, 0.5)), p90=round(quantile(values, 0.9)))
                for name, values in phases.items()
            },
        )

    @property
    def lead_p50(self) -> float:
        """Seconds that half of the starts took at most."""
        return quantile([entry.total for entry in self._relevant()], 0.5, PRIOR_P50)

    @property
    def lead_p90(self) -> float:
        """Seconds that nine in ten starts took at most."""
        return quantile([entry.total for entry in self._relevant()], 0.9, PRIOR_P90)

    def expiry(self, budget: float) -> float:
        """Seconds after which a pod that is not ready yet is not counted on any more.

        `budget` is what a start may take before the pod is restarted: all that is known before any start was measured.
        """
        if not self._entries:
            return budget
        return min(budget, max(MIN_EXPIRY, EXPIRY_FACTOR * self.lead_p90))

    def _relevant(self) -> list[_Entry]:
        """Those of the present template where there are enough of them, else all."""
        if not self._entries:
            return []
        newest = self._entries[-1].template
        same = [entry for entry in self._entries if entry.template == newest]
        return same if len(same) >= ENOUGH else list(self._entries)


def start_of(pod: Manifest) -> Start | None:
    """What the status of a ready pod tells of its start; None where it does not, or the engine was restarted."""
    engine = engine_status(pod)
    if engine.get("restartCount", 0) > 0:
        return None
    times = [
        _time(pod["metadata"].get("creationTimestamp")),
        _time(_since(pod, "PodScheduled")),
        _time(engine.get("state", {}).get("running", {}).get("startedAt")),
        _time(_since(pod, "Ready")),
    ]
    known = [time for time in times if time is not None]
    if len(known) < len(times):
        return None
    # The clocks of API server, scheduler and kubelet differ, and each tells whole seconds.
    return Start(*(max(0.0, (b - a).total_seconds()) for a, b in pairwise(known)))


def quantile(values: Iterable[float], q: float, default: float = 0.0) -> float:
    """The value at rank ceil(q n): of fewer than ten values the p90 is the largest."""
    ordered = sorted(values)
    return ordered[max(0, ceil(q * len(ordered)) - 1)] if ordered else default


def _stand_ins(before: ColdStartStatus) -> list[_Entry]:
    """Starts whose quantiles are exactly those of a status, however often it is restored."""
    number = min(before.starts, KEPT_OVER_RESTART)
    median = ceil(0.5 * number)
    phases = (before.scheduling, before.pulling, before.loading, before.total)
    return [_Entry("", *(p.p50 if place < median else p.p90 for p in phases)) for place in range(number)]


def _ready_since(pod: Manifest) -> str:
    """RFC 3339 in UTC compares as text."""
    return _since(pod, "Ready") or ""


def _since(pod: Manifest, kind: str) -> str | None:
    """When a condition that is True became so."""
    found = condition(pod, kind)
    return found.get("lastTransitionTime") if found.get("status") == "True" else None


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
