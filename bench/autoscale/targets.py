"""What the comparison sets out to show, computed from its rows.

(a) one configuration of ours against each family's best single configuration over all workloads: cheaper at equal or
better attainment. (b) against each family's defaults: 99 % where they fail, or at most 0.9 of their GPU-hours.
(c) against the best of all families' points, chosen for each workload in hindsight: at most 1.10 of its GPU-hours on
80 % of the workloads and 1.25 on any, at 99 % wherever that is reachable. (d) on spiky windows no dearer than an HPA on
KV usage with its defaults that also keeps 99 %.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bench.autoscale.cases import SPIKY
from bench.autoscale.families import BASELINES
from bench.autoscale.tuning import best_single, by_point, complete, relative, shortfall

Row = Mapping[str, Any]
Cell = tuple[str, str, str, int, str]
OURS: Final = "slmfleet"
A_HAIR: Final = 1e-3
"""Of attainment: less is noise."""


def cell(row: Row) -> Cell:
    """What a row was run on."""
    return (row["workload"], row["start"], row["router"], row["seed"], row["fault"])


def of(rows: Iterable[Row], policy: str) -> dict[Cell, Row]:
    """One policy's rows by what they were run on."""
    return {cell(row): row for row in rows if row["policy"] == policy}


def geometric(values: Sequence[float]) -> float:
    """Geometric mean; nan without values."""
    return math.exp(sum(math.log(max(v, 1e-9)) for v in values) / len(values)) if values else math.nan


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """One configuration over all its workloads."""
    return {
        "gpu_by_static": round(geometric([relative(row) for row in rows]), 4),
        "met": sum(bool(row["met"]) for row in rows),
        "of": len(rows),
        "shortfall_points": round(100 * sum(shortfall(row) for row in rows) / max(1, len(rows)), 3),
        "itl_attainment": round(sum(float(row["itl_attainment"]) for row in rows) / max(1, len(rows)), 4),
        "reversals_per_hour": round(
            sum(float(row["reversals"]) for row in rows) / max(1e-9, sum(float(row["hours"]) for row in rows)), 2
        ),
    }


def is_default(row: Row) -> bool:
    """Whether a baseline ran with its published defaults; where its tuned point is the same, that is another row."""
    family = BASELINES.get(row["policy"])
    return family is not None and row["params"] == family.defaults and not row["tuned"]


def against_best_single(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """(a), one entry per family; `rows` are those of the grid."""
    mine = summary([row for row in rows if row["policy"] == OURS])
    entries = []
    for family in BASELINES:
        if family not in (row["policy"] for row in rows):
            continue
        params, theirs = best_single(rows, family)
        other = summary(theirs)
        ratio = mine["gpu_by_static"] / other["gpu_by_static"]
        as_good = mine["shortfall_points"] <= other["shortfall_points"] + 100 * A_HAIR and mine["met"] >= other["met"]
        entries.append(
            {
                "family": family,
                "params": params,
                "points_tried": len(by_point(rows, family)),
                **other,
                "ours_by_theirs": round(ratio, 4),
                "holds": ratio < 1 and as_good,
                **_at_our_attainment(mine, [summary(some) for some in complete(rows, family).values()]),
            }
        )
    return entries


def _at_our_attainment(mine: Row, points: Iterable[Row]) -> dict[str, float | None]:
    """The cheapest of a family's points that misses no more than ours does, over all workloads; None without any."""
    enough = [p for p in points if p["shortfall_points"] <= mine["shortfall_points"] + 100 * A_HAIR]
    cheapest = min((float(point["gpu_by_static"]) for point in enough), default=None)
    ratio = None if cheapest is None else round(mine["gpu_by_static"] / cheapest, 4)
    return {"as_good_gpu_by_static": cheapest, "ours_by_as_good": ratio}


def against_defaults(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """(b), one entry per family: on how many workloads it holds."""
    mine = of(rows, OURS)
    entries = []
    for family in BASELINES:
        theirs = {cell(row): row for row in rows if row["policy"] == family and is_default(row)}
        shared = [key for key in theirs if key in mine]
        held = [key for key in shared if _beats_default(mine[key], theirs[key])]
        missed = sorted(set(shared) - set(held))
        entries.append(
            {
                "family": family,
                "default_met": sum(bool(theirs[key]["met"]) for key in shared),
                "held": len(held),
                "of": len(shared),
                "missed": [f"{name} {start} {router}" for name, start, router, _, _ in missed],
            }
        )
    return entries


def _beats_default(mine: Row, theirs: Row) -> bool:
    if not theirs["met"]:
        return bool(mine["met"])
    return bool(mine["met"]) and mine["gpu_hours"] <= 0.9 * theirs["gpu_hours"]


def hindsight(rows: Iterable[Row]) -> dict[Cell, Row]:
    """For each workload the cheapest point of any family that keeps 99 %."""
    best: dict[Cell, Row] = {}
    for row in rows:
        if row["policy"] in BASELINES and row["met"]:
            key = cell(row)
            if key not in best or row["gpu_hours"] < best[key]["gpu_hours"]:
                best[key] = row
    return best


def against_hindsight(rows: Sequence[Row], mine: Mapping[Cell, Row]) -> list[dict[str, Any]]:
    """(c), one entry per workload; `mine` may be on another router than the `rows` of the grid."""
    best = hindsight(rows)
    entries = []
    for key in sorted({cell(row) for row in rows}):
        own, theirs = mine.get(key), best.get(key)
        if own is None:
            continue
        entries.append(
            {
                "workload": key[0],
                "start": key[1],
                "best": theirs["policy"] if theirs else None,
                "best_params": theirs["params"] if theirs else None,
                "best_gpu_hours": theirs["gpu_hours"] if theirs else None,
                "gpu_hours": own["gpu_hours"],
                "attainment": own["ttft_attainment"],
                "met": own["met"],
                "ratio": round(own["gpu_hours"] / theirs["gpu_hours"], 4) if theirs else None,
            }
        )
    return entries


def hindsight_verdict(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """(c) over all workloads that some baseline point can do."""
    ratios = [entry["ratio"] for entry in entries if entry["ratio"] is not None]
    reachable = [entry for entry in entries if entry["ratio"] is not None and entry["start"] != "slow"]
    within = sum(ratio <= 1.10 for ratio in ratios) / max(1, len(ratios))
    met = sum(bool(entry["met"]) for entry in reachable)
    return {
        "workloads": len(ratios),
        "within_1.10": round(within, 4),
        "worst": max(ratios, default=None),
        "geometric_mean": round(geometric(ratios), 4),
        "met_where_reachable": f"{met} of {len(reachable)}",
        "holds": bool(ratios) and within >= 0.8 and max(ratios) <= 1.25 and met == len(reachable),
    }


def on_spikes(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """(d), one entry per spiky window."""
    entries = []
    theirs = {cell(row): row for row in rows if row["policy"] == "hpa-kv" and is_default(row)}
    for key, own in sorted(of(rows, OURS).items()):
        if key[0] not in SPIKY or key not in theirs:
            continue
        other = theirs[key]
        ratio = own["gpu_hours"] / other["gpu_hours"]
        entries.append(
            {
                "workload": key[0],
                "start": key[1],
                "router": key[2],
                "gpu_hours": own["gpu_hours"],
                "attainment": own["ttft_attainment"],
                "hpa_kv_gpu_hours": other["gpu_hours"],
                "hpa_kv_attainment": other["ttft_attainment"],
                "ratio": round(ratio, 4),
                "holds": bool(own["met"]) and (ratio <= 1 or not other["met"]),
            }
        )
    return entries


def under_faults(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What a fault takes from the attainment: of ours, of the oracle's plan, of the HPA on KV usage."""
    clean = {(row["policy"], cell(row)): row for row in rows if not row["fault"] and _shown(row)}
    entries = []
    for row in rows:
        if not row["fault"] or not _shown(row):
            continue
        name, start, router, seed, fault = cell(row)
        before = clean.get((row["policy"], (name, start, router, seed, "")))
        entries.append(
            {
                "workload": name,
                "start": start,
                "router": router,
                "fault": fault,
                "policy": row["policy"],
                "attainment": row["ttft_attainment"],
                "lost_points": round(100 * (before["ttft_attainment"] - row["ttft_attainment"]), 3) if before else None,
                "gpu_hours": row["gpu_hours"],
            }
        )
    return entries


def _shown(row: Row) -> bool:
    return row["policy"] in (OURS, "oracle-ub") or (
        row["policy"] in ("hpa-kv", "kpa", "aibrix-apa") and is_default(row)
    )
