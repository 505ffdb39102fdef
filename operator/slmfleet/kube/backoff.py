"""How long to wait before the next try."""

from random import Random


def backoff(tries: int, rng: Random, *, base: float, limit: float) -> float:
    """Seconds before try number `tries + 1`: exponential from `base` to `limit`, the upper half of it random.

    The jitter keeps a thousand objects that failed together from coming back together.
    """
    ceiling = min(limit, base * 2.0 ** min(tries, 30))
    return ceiling * (0.5 + 0.5 * rng.random())
