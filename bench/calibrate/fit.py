"""Coefficients from measurements: robust least squares on relative errors."""

from typing import Final

import numpy as np

from bench.autoscale.fleet.requests import Floats

_HUBER: Final = 1.345
"""Standard deviations beyond which an error counts linearly: 95 % as efficient as least squares on normal errors."""
_MAD: Final = 1.4826
"""From the median of absolute errors to a standard deviation, of normal errors."""
_ROUNDS: Final = 50


def fit(rows: Floats, values: Floats) -> Floats:
    """Non-negative x with rows @ x close to the values, which are positive.

    Minimises Huber's loss of (rows @ x - values) / values: a row that was disturbed pulls with bounded force, and short
    times count as much as long ones. A coefficient that would be negative is 0. Raises ValueError for fewer rows than
    coefficients.
    """
    if len(rows) < rows.shape[1]:
        raise ValueError(f"{len(rows)} measurements cannot tell {rows.shape[1]} coefficients")
    relative = rows / values[:, None]
    used = np.ones(rows.shape[1], dtype=np.bool_)
    while True:
        found = np.zeros(rows.shape[1])
        found[used] = _huber(relative[:, used])
        if np.all(found >= 0.0):
            return found
        used[np.argmin(found * np.abs(relative).mean(axis=0))] = False


def _huber(rows: Floats) -> Floats:
    """Iteratively reweighted least squares towards 1."""
    weights = np.ones(len(rows))
    found = np.zeros(rows.shape[1])
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        found = np.linalg.lstsq(rows * root[:, None], root, rcond=None)[0].astype(np.float64)
        errors = np.abs(rows @ found - 1.0)
        bound = max(_HUBER * _MAD * float(np.median(errors)), 1e-9)
        weights = np.minimum(1.0, bound / np.maximum(errors, 1e-12))
    return found
