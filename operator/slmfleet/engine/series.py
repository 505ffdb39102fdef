"""The series of a /metrics page: what their labels mean, and sums over them."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

from .histogram import Histogram

MAX_LABELS: Final = 8192
"""Bytes of one line's labels; cache_config_info has the longest, about 1,200."""
MAX_KEPT_LABELS: Final = 2048
MAX_KEPT: Final = 16_384
"""Sets of labels whose meaning is kept: about 45 per model name and engine."""
MAX_KEPT_BUCKETS: Final = 1024

_LABEL: Final = re.compile(rb'(?:\A|,)([A-Za-z_]\w*+)="((?:[^"\\]++|\\.)*+)"')


class PageError(Exception):
    """A page that cannot be used; `reason` is a stable word, the message is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, eq=False, slots=True)
class Labels:
    """What a set of labels says, without model_name: a server's aliases are names of the same engine.

    There is one object for each meaning, told apart by identity: this is what reading a page spends its time on.
    """

    engine: str
    bound: float | None
    """A histogram's `le`."""
    reason: str
    capacity: float | None
    """Tokens, where the labels are those of cache_config_info."""


Series = dict[Labels, float]
"""One family's values."""
Found = Mapping[bytes, Series]
"""By the samples' name."""


class _Buckets(NamedTuple):
    """What a histogram's series are."""

    bounds: tuple[float, ...]
    places: tuple[tuple[int, ...], ...] | None
    """For each bound the series to be summed; None where the series are the bounds in their order."""


class LabelMemory:
    """The meaning of labels that have been seen: the same ones come with every page of a fleet."""

    def __init__(self) -> None:
        self.known: dict[bytes, Labels] = {}
        self._same: dict[tuple[object, ...], Labels] = {}
        self._buckets: dict[tuple[Labels, ...], _Buckets] = {}

    def trim(self) -> None:
        """Bound what is kept; not while a page is read, whose labels must stay the same objects."""
        if len(self._same) > MAX_KEPT or len(self.known) > MAX_KEPT or len(self._buckets) > MAX_KEPT_BUCKETS:
            self.known.clear()
            self._same.clear()
            self._buckets.clear()

    def meaning(self, text: bytes) -> Labels:
        """Of the labels between the braces. Raises PageError."""
        if len(text) > MAX_LABELS:
            raise PageError("invalid", f"labels of {len(text)} bytes (limit {MAX_LABELS})")
        pairs = {name.decode(): value.decode(errors="replace") for name, value in _LABEL.findall(text)}
        pairs.pop("model_name", None)
        engine, bound = pairs.pop("engine", "0"), pairs.pop("le", None)
        capacity = None
        if "num_gpu_blocks" in pairs:  # cache_config_info: a hundred settings, of which one matters
            capacity, pairs = _capacity(pairs), {}
        same = (engine, bound, capacity, *sorted(pairs.items()))
        if same not in self._same:
            number = None if bound is None else _bound(bound)
            self._same[same] = Labels(engine, number, pairs.get("reason", ""), capacity)
        labels = self._same[same]
        if len(text) <= MAX_KEPT_LABELS:
            self.known[text] = labels
        return labels

    def histogram(self, found: Found, name: bytes) -> Histogram:
        """The sum of a histogram's series. Raises PageError."""
        series = told(found, name)
        key = tuple(series)
        if (buckets := self._buckets.get(key)) is None:
            buckets = self._buckets[key] = _buckets(key)
        counts = tuple(series.values())
        if buckets.places is not None:
            counts = tuple(sum(counts[place] for place in places) for places in buckets.places)
        try:
            return Histogram(buckets.bounds, counts)
        except ValueError as error:
            raise PageError("invalid", f"{name.decode()}: {error}") from None


def told(found: Found, name: bytes) -> Series:
    """A family's series. Raises PageError where there is none."""
    series = found.get(name)
    if not series:
        raise PageError("incomplete", f"no {name.decode()} on the page")
    return series


def total(found: Found, name: bytes) -> float:
    """Over all engines and further labels. Raises PageError where there is nothing to add up."""
    return sum(told(found, name).values())


def by_engine(found: Found, name: bytes) -> dict[str, float]:
    """Sums over further labels by rank. Raises PageError where there is nothing to add up."""
    values: dict[str, float] = {}
    for labels, value in told(found, name).items():
        values[labels.engine] = values.get(labels.engine, 0.0) + value
    return values


def by_reason(series: Series) -> dict[str, float]:
    """Sums over the engines."""
    values: dict[str, float] = {}
    for labels, value in series.items():
        values[labels.reason] = values.get(labels.reason, 0.0) + value
    return values


def weighted(usage: Mapping[str, float], capacity: Mapping[str, float]) -> float:
    """Mean of the engines' usage, by capacity where all are known."""
    if capacity.keys() >= usage.keys():
        return sum(used * capacity[engine] for engine, used in usage.items()) / sum(capacity[e] for e in usage)
    return sum(usage.values()) / len(usage)


def _bound(text: str) -> float:
    try:
        bound = float(text)
    except ValueError:
        bound = -inf
    if not bound >= 0:
        raise PageError("invalid", f'a bucket with le="{text[:40]}"')
    return bound


def _buckets(series: tuple[Labels, ...]) -> _Buckets:
    places: defaultdict[float, list[int]] = defaultdict(list)
    for place, labels in enumerate(series):
        places[inf if labels.bound is None else labels.bound].append(place)
    bounds = tuple(sorted(places))
    if bounds == tuple(labels.bound for labels in series):
        return _Buckets(bounds, None)
    return _Buckets(bounds, tuple(tuple(places[bound]) for bound in bounds))


def _capacity(settings: Mapping[str, str]) -> float | None:
    """Tokens. Only the first is right for a hybrid model, whose layers share blocks; releases before 0.24 lack it."""
    for names in (("kv_cache_size_tokens",), ("num_gpu_blocks", "block_size")):
        values = [settings.get(name, "") for name in names]
        if all(value.isdecimal() and len(value) < 16 for value in values):
            tokens = 1.0
            for value in values:
                tokens *= int(value)
            return tokens or None
    return None
