"""How one version of an adapter follows another: never in place, and the old one until the new one stands.

    first    no version is active: the wanted one is at once, and its name is answered wherever it is loaded
    beside   another is wanted: it is loaded under a name of its own, while the served name stays
    move     all chosen pods that are ready have loaded it: the served name stands for it from then on
    soak     the old one stays loaded; a return to it is a move like any other, and needs no load
    rest     the old one is no longer in the table, and guards unload it once it has no request

A load that fails leaves the served name where it is. Everything is decided again from what the pods report: only which
version is active, which one was before and since when is remembered, in the status.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .adapter import Track, Version
from .reports import Report


@dataclass(frozen=True)
class Place:
    """A chosen pod as far as versions care."""

    ready: bool
    report: Report | None
    """None while its guard has not been heard."""


@dataclass(frozen=True)
class Step:
    """What the tables of the chosen pods say about one adapter."""

    track: Track
    beside: Version | None = None
    """What is loaded beside the active version, to become it."""
    waits_for_slot: bool = False
    """It would be loaded beside, were there a slot."""
    moved: bool = False
    """The served name moves in this step."""
    requeue_after: float | None = None

    @property
    def versions(self) -> tuple[Version, ...]:
        """All that are to be loaded, the active one first."""
        return tuple(v for v in (self.track.active, self.beside, self.track.previous) if v is not None)

    def entries(self, served: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The table's lines: engine-side name -> path and alias."""
        for version in self.versions:
            alias = served if version == self.track.active else None
            yield version.named(served), {"path": version.path, "alias": alias}


def advance(
    track: Track,
    target: Version | None,
    places: Sequence[Place],
    *,
    served: str,
    soak: float,
    spare: bool,
    now: datetime,
) -> Step:
    """The next step towards `target` (None: there is nothing to go to, so stay); `soak` in seconds.

    `spare`: every chosen pod has a slot for one more version.
    """
    active = track.active
    if target is None or active is None:
        return Step(track if target is None else Track(target))
    if target == active:
        return _soaking(track, soak, now)
    if not places:  # nobody is served: nothing could be answered wrongly, nor be waited for
        return Step(Track(target), moved=True)
    loaded = [place.report is not None and place.report.loaded(target.named(served)) for place in places if place.ready]
    if loaded and all(loaded):
        return Step(Track(target, active, now), moved=True, requeue_after=soak)
    if target == track.previous:
        return Step(track)  # it is loaded, but for pods that came meanwhile
    if not spare and track.previous is None:
        return Step(track, waits_for_slot=True)
    return Step(Track(active), target)


def _soaking(track: Track, soak: float, now: datetime) -> Step:
    if track.previous is None:
        return Step(Track(track.active))
    left = soak - (0.0 if track.moved_at is None else (now - track.moved_at).total_seconds())
    return Step(track, requeue_after=left) if left > 0 else Step(Track(track.active))
