"""The series of a /metrics page: what their labels mean, and how their values are added up.

The same series come with every page of a fleet, so that their meaning is worked out once, for a Layout, and a page
costs little more than finding its numbers.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from operator import itemgetter
from typing import Final, NamedTuple

MAX_LABELS: Final = 8192
"""Bytes of one line's labels; cache_config_info has the longest, about 1,200."""

_LABEL: Final = re.compile(rb'(?:\A|,)([A-Za-z_]\w*+)="((?:[^"\\]++|\\.)*+)"')

Values = Sequence[float]
"""Of a page's lines, in their order."""
Sum = Callable[[Values], float]


class PageError(Exception):
    """A page that cannot be used; `reason` is a stable word, the message is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Labels(NamedTuple):
    """What a set of labels says, without model_name: a server's aliases are names of the same engine."""

    engine: str
    bound: str
    """A histogram's `le`; empty for others."""
    others: tuple[tuple[str, str], ...]


class Buckets(NamedTuple):
    """A histogram's bounds, and the counts at them of a page's values."""

    bounds: tuple[float, ...]
    counts: Callable[[Values], tuple[float, ...]]


class Layout:
    """Which lines of a page belong together."""

    def __init__(self, names: Iterable[bytes], texts: Iterable[bytes]) -> None:
        """The lines' names and labels. Raises PageError."""
        self._found: defaultdict[bytes, dict[Labels, int]] = defaultdict(dict)
        self._aliases: list[tuple[int, int]] = []
        for place, (name, text) in enumerate(zip(names, texts, strict=True)):
            series = self._found[name]
            first = series.setdefault(meaning(text), place)
            if first != place:
                self._aliases.append((first, place))

    def settle(self, values: list[float]) -> None:
        """Aliases repeat the same number; the larger one is right should one of them lag."""
        for first, place in self._aliases:
            values[first] = max(values[first], values[place])

    def has(self, name: bytes) -> bool:
        """Whether the page tells it."""
        return bool(self._found.get(name))

    def total(self, name: bytes) -> Sum:
        """Over all engines and further labels. Raises PageError where there is nothing to add up."""
        return _sum(self._told(name).values())

    def by_engine(self, name: bytes) -> dict[str, Sum]:
        """Sums over further labels by rank. Raises PageError where there is nothing to add up."""
        return self._by(self._told(name), lambda labels: labels.engine)

    def by_reason(self, name: bytes) -> dict[str, Sum]:
        """Sums over the engines; none where the page does not tell."""
        return self._by(self._found.get(name, {}), lambda labels: dict(labels.others).get("reason", ""))

    def buckets(self, name: bytes) -> Buckets:
        """Sums over the engines. Raises PageError."""
        places: defaultdict[float, list[int]] = defaultdict(list)
        for labels, place in self._told(name).items():
            places[_bound(labels.bound)].append(place)
        bounds = tuple(sorted(places))
        if len(bounds) < 2:
            raise PageError("invalid", f"{name.decode()}: no buckets")
        if all(len(found) == 1 for found in places.values()):
            return Buckets(bounds, itemgetter(*(places[bound][0] for bound in bounds)))
        counts = [_sum(places[bound]) for bound in bounds]
        return Buckets(bounds, lambda values: tuple(count(values) for count in counts))

    def _told(self, name: bytes) -> dict[Labels, int]:
        series = self._found.get(name)
        if not series:
            raise PageError("incomplete", f"no {name.decode()} on the page")
        return series

    def _by(self, series: Mapping[Labels, int], word: Callable[[Labels], str]) -> dict[str, Sum]:
        places: defaultdict[str, list[int]] = defaultdict(list)
        for labels, place in series.items():
            places[word(labels)].append(place)
        return {key: _sum(found) for key, found in places.items()}


def meaning(text: bytes) -> Labels:
    """Of the labels between the braces. Raises PageError."""
    pairs = label_pairs(text)
    pairs.pop("model_name", None)
    return Labels(pairs.pop("engine", "0"), pairs.pop("le", ""), tuple(sorted(pairs.items())))


def label_pairs(text: bytes) -> dict[str, str]:
    """Names and values, as they are written. Raises PageError."""
    if len(text) > MAX_LABELS:
        raise PageError("invalid", f"labels of {len(text)} bytes (limit {MAX_LABELS})")
    return {name.decode(): value.decode(errors="replace") for name, value in _LABEL.findall(text)}


def _sum(places: Iterable[int]) -> Sum:
    all_ = tuple(places)
    return itemgetter(*all_) if len(all_) == 1 else lambda values: sum(values[place] for place in all_)


def _bound(text: str) -> float:
    try:
        bound = float(text)
    except ValueError:
        bound = -inf
    if not bound >= 0:
        raise PageError("invalid", f'a bucket with le="{text[:40]}"')
    return bound
