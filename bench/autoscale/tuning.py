"""Which point of a family's grid is best: on training slices, over all workloads, or in hindsight on one."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from bench.autoscale.compare import TUNED
from bench.autoscale.families import BASELINES, Params
from bench.autoscale.run import GOAL

Row = Mapping[str, Any]
SHORTFALL_WEIGHT: Final = 8.0
"""What a whole share of requests too late costs against the logarithm of GPU-hours: a point of attainment, 8 %."""


def score(rows: Iterable[Row]) -> float:
    """Lower is better: ln of the geometric mean of GPU-hours by the static peak's, and what is missing to 99 %."""
    rows = list(rows)
    cost = sum(math.log(max(relative(row), 1e-6)) for row in rows) / len(rows)
    return cost + SHORTFALL_WEIGHT * sum(shortfall(row) for row in rows) / len(rows)


def relative(row: Row) -> float:
    """GPU-hours by the static peak's; of a run that was given up, those so far by the peak's so far."""
    return float(row["mean_replicas"]) / float(row["static"])


def shortfall(row: Row) -> float:
    """What is missing to the goal; a run that was given up counts as it stood."""
    return max(0.0, GOAL - float(row["ttft_attainment"]))


def by_point(rows: Iterable[Row], family: str) -> dict[str, list[Row]]:
    """A family's rows by their parameters (JSON); a tuned point that is the default as well counts once."""
    found: dict[str, dict[tuple[str, ...], Row]] = defaultdict(dict)
    for row in rows:
        if row["policy"] == family:
            cell = tuple(str(row[key]) for key in ("workload", "start", "router", "seed", "fault"))
            found[json.dumps(row["params"], sort_keys=True)][cell] = row
    return {params: list(cells.values()) for params, cells in found.items()}


def complete(rows: Iterable[Row], family: str) -> dict[str, list[Row]]:
    """A family's points (JSON) that ran on all of the rows' cases."""
    points = by_point(rows, family)
    most = max(len(found) for found in points.values())
    return {params: found for params, found in points.items() if len(found) == most}


def best_single(rows: Iterable[Row], family: str) -> tuple[Params, list[Row]]:
    """The point that scores best over all the rows' cases, and its rows; given-up runs are never chosen over others."""
    full = complete(rows, family)
    params = min(full, key=lambda p: score(full[p]))
    return json.loads(params), full[params]


def best_points(rows: Iterable[Row]) -> dict[str, Params]:
    """By family, for rows of the training cases."""
    rows = list(rows)
    return {family: best_single(rows, family)[0] for family in BASELINES}


def save_tuned(points: dict[str, Params]) -> None:
    """For the command line and later runs."""
    TUNED.write_text(json.dumps(points, indent=2, sort_keys=True) + "\n", encoding="utf-8")
