"""Tables of what holds for which releases of vLLM: the releases in their order, and rows that hold for a range."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .version import OLDEST, EngineVersion


@dataclass(frozen=True)
class Span:
    """Releases that have something, both included; `until` is None where the newest still has it."""

    since: str = str(OLDEST)
    until: str | None = None

    def holds(self, version: EngineVersion) -> bool:
        """Whether a release, or a candidate or post release of one, lies in it."""
        after = EngineVersion.parse(self.since).release <= version.release
        return after and (self.until is None or version.release <= EngineVersion.parse(self.until).release)

    def __str__(self) -> str:
        if self.since == self.until:
            return self.since
        return f"{self.since} to {self.until}" if self.until else f"{self.since} and later"


class Releases:
    """The releases of a table, oldest first; places in it count from 0."""

    def __init__(self, heads: Sequence[Mapping[str, Any]]) -> None:
        """`heads` are the table's `releases`: each has a `version`."""
        self.names = tuple(str(head["version"]) for head in heads)
        self.versions = tuple(map(EngineVersion.parse, self.names))
        self._places = {name: place for place, name in enumerate(self.names)}

    def place(self, version: EngineVersion) -> int:
        """Of the release, for its candidates and post releases too; else of the newest that is not newer."""
        return max((i for i, known in enumerate(self.versions) if known.release <= version.release), default=0)

    def covers(self, version: EngineVersion) -> bool:
        """Whether a release lies within the table; what was never read, between two that were, does."""
        return self.versions[0].release <= version.release <= self.versions[-1].release

    def held(self, row: Mapping[str, Any]) -> range:
        """The places for which a row holds, from its `since` and `until`."""
        return range(self._places[row["since"]], self._places[row.get("until", self.names[-1])] + 1)

    def spans(self, places: Collection[int]) -> tuple[Span, ...]:
        """Places as ranges of releases."""
        starts = sorted(place for place in places if place - 1 not in places)
        ends = sorted(place for place in places if place + 1 not in places)
        return tuple(
            Span(self.names[start], None if end + 1 == len(self.names) else self.names[end])
            for start, end in zip(starts, ends, strict=True)
        )
