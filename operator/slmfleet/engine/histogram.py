"""Histograms as Prometheus has them: how many values were at most each bound."""

from bisect import bisect_left
from dataclasses import dataclass
from math import inf
from operator import lt


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts that only grow; raises ValueError for what is none."""

    bounds: tuple[float, ...]
    """Rising, in the unit of the values; the last is infinite."""
    counts: tuple[float, ...]
    """Values at or below each bound."""

    def __post_init__(self) -> None:
        if not self.bounds or self.bounds[-1] != inf or len(self.bounds) != len(self.counts):
            raise ValueError("no bucket le=+Inf")
        if any(map(lt, self.counts[1:], self.counts)):
            raise ValueError("a bucket has fewer values than the one below it")

    @property
    def count(self) -> float:
        """All values."""
        return self.counts[-1]

    def over(self, limit: float) -> float:
        """How many values are larger than `limit`.

        Exact where the limit is a bound. Between two bounds the values of that bucket are taken to lie evenly, as
        Prometheus' histogram_quantile does: at worst wrong by the bucket's count. Above the last finite bound nothing
        can be told apart: all values beyond it count.
        """
        place = bisect_left(self.bounds, limit)
        upper = self.bounds[place] if place < len(self.bounds) else inf
        if upper == limit:
            return self.count - self.counts[place]
        below, lower = (self.counts[place - 1], self.bounds[place - 1]) if place else (0.0, 0.0)
        if upper == inf:
            return self.count - below
        share = max(0.0, limit - lower) / (upper - lower)
        return self.count - below - (self.counts[place] - below) * share

    def fell_since(self, earlier: "Histogram") -> bool:
        """Whether this cannot be the same histogram, later."""
        return self.bounds != earlier.bounds or any(map(lt, self.counts, earlier.counts))
