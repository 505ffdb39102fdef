"""Writes the comparison's results: JSON, a page in Markdown, plots."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.autoscale import ours, plots, targets
from bench.autoscale.cases import SEEDS
from bench.autoscale.families import BASELINES
from bench.autoscale.targets import OURS, Row, cell, is_default, of, summary
from bench.autoscale.tuning import best_single
from bench.machine import described

DROPPED: Final = ("series", "semi_synthetic", "aborted", "ttft_objective_s", "itl_objective_s", "requests", "static")
COMMAND: Final = "make bench-autoscale"
SINGLE_COLUMNS: Final = {
    "family": "family",
    "best single point": "params",
    "of points": "points_tried",
    "GPU / static": "gpu_by_static",
    "met": "met",
    "of": "of",
    "short, points": "shortfall_points",
    "ours / theirs": "ours_by_theirs",
    "holds": "holds",
    "cheapest point that misses no more than ours": "as_good_gpu_by_static",
    "ours / that": "ours_by_as_good",
}
"""The columns of the first target, and what is in them."""


def write(rows: Sequence[Row], folder: Path, missing: int = 0) -> None:
    """autoscale.json, autoscale.md and the plots; `missing` runs have not been made yet."""
    folder.mkdir(parents=True, exist_ok=True)
    found = computed(rows)
    head = {"command": COMMAND, **described(), "missing_runs": missing, "targets": found}
    lines = ",\n".join(json.dumps(_slim(row)) for row in kept(rows))
    text = json.dumps(head, indent=1)[:-2] + ',\n "rows": [\n' + lines + "\n]\n}\n"
    (folder / "autoscale.json").write_text(text, encoding="utf-8")
    (folder / "autoscale.md").write_text(page(rows, found, missing), encoding="utf-8")
    plots.draw(rows, folder)


def kept(rows: Iterable[Row]) -> list[Row]:
    """Defaults, tuned points, ours, oracles, and each workload's best in hindsight: not every point of every grid."""
    rows = list(rows)
    best = {id(row) for row in targets.hindsight(rows).values()}
    return [r for r in rows if r["policy"] not in BASELINES or r["tuned"] or is_default(r) or id(r) in best]


def _slim(row: Row) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in DROPPED and value not in ("", {})}


def computed(rows: Sequence[Row]) -> dict[str, Any]:
    """The targets, for the plain router's grid, and what there is of them for the demoting gateway."""
    grid = [row for row in rows if row["group"] == "grid"]
    whole = [row for row in rows if row["group"] in ("grid", "start")]
    found: dict[str, Any] = {}
    if grid:
        late = {(k[0], k[1], "early", k[3], k[4]): row for k, row in of(whole, OURS).items() if k[2] == "late"}
        plain = targets.against_hindsight(grid, of(grid, OURS))
        gateway = targets.against_hindsight(grid, late)
        found = {
            "a_best_single_configuration": targets.against_best_single(grid),
            "c_hindsight": targets.hindsight_verdict(plain),
            "c_hindsight_per_workload": plain,
            "c_ours_behind_the_gateway_theirs_without": targets.hindsight_verdict(gateway),
            "c_gateway_per_workload": gateway,
        }
    return found | {
        "b_defaults": targets.against_defaults(whole),
        "d_spiky": targets.on_spikes(whole),
        "faults": targets.under_faults(rows),
    }


def table(head: Sequence[str], body: Iterable[Sequence[object]]) -> str:
    """Markdown."""
    lines = ["|" + "|".join(head) + "|", "|" + "|".join("-" for _ in head) + "|"]
    lines += ["|" + "|".join(_text(value) for value in row) + "|" for row in body]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {part}" for key, part in value.items()) or "defaults"
    return "-" if value is None else str(value)


def run_text(row: Row | None) -> str:
    """GPU-hours and attainment of a run."""
    return "-" if row is None else f"{row['gpu_hours']:.1f} / {100 * float(row['ttft_attainment'] or 0):.1f}"


def page(rows: Sequence[Row], found: Mapping[str, Any], missing: int) -> str:
    """The page for people."""
    parts = [
        "# Autoscaling: results\n",
        f"Written by `{COMMAND}`; what is compared and how is in docs/autoscaling-comparison.md. Simulated fleets;"
        " all runs with the same requests, start times and first replicas. GPU-h / share of requests whose first token"
        " came in time, in %. Differences below 2 % or 0.1 points are noise.\n",
    ]
    if missing:
        parts.append(f"**{missing} runs are missing: what is compared is what there is.**\n")
    parts += _targets(found)
    for router in ("early", "late"):
        for start in ("slow", "mid", "fast"):
            some = [
                r for r in rows if r["router"] == router and r["start"] == start and r["group"] in ("grid", "start")
            ]
            if some:
                parts += [f"## Router {router}, start {start}\n", _workloads(some), _families(some)]
    parts += ["## What each part is worth\n", _parts(rows)]
    parts += ["## Seeds\n", "Mean and range over five seeds, start mid.\n", _seeds(rows)]
    return "\n".join(parts)


def _targets(found: Mapping[str, Any]) -> list[str]:
    parts = ["## Targets\n"]
    if "a_best_single_configuration" in found:
        rows = [[entry[key] for key in SINGLE_COLUMNS.values()] for entry in found["a_best_single_configuration"]]
        parts += ["(a) Against each family's best single configuration over all workloads, plain router.\n"]
        parts += [table(list(SINGLE_COLUMNS), rows)]
    head = ["family", "defaults keep 99 %", "holds on", "of", "misses"]
    defaults = [
        [e["family"], e["default_met"], e["held"], e["of"], "; ".join(e["missed"]) or "-"] for e in found["b_defaults"]
    ]
    parts += ["(b) Against each family's defaults.\n", table(head, defaults)]
    if "c_hindsight" in found:
        for title, key in (
            ("(c) Against the best point of all families for each workload in hindsight, plain router.", "c_hindsight"),
            (
                "The same, ours behind the demoting gateway.",
                "c_ours_behind_the_gateway_theirs_without",
            ),
        ):
            parts += [title + "\n", table(list(found[key]), [list(found[key].values())])]
    if found["d_spiky"]:
        rows = [list(entry.values()) for entry in found["d_spiky"]]
        parts += [
            "(d) Spiky windows against an HPA on KV usage with defaults.\n",
            table(list(found["d_spiky"][0]), rows),
        ]
    if found["faults"]:
        rows = [list(entry.values()) for entry in found["faults"]]
        parts += ["Faults.\n", table(list(found["faults"][0]), rows)]
    return parts


def _workloads(rows: Sequence[Row]) -> str:
    best = targets.hindsight(rows)
    columns: list[tuple[str, dict[Any, Row]]] = [
        ("LB1", of(rows, "oracle-lb1")),
        ("oracle", of(rows, "oracle-ub")),
        ("static", {cell(r): r for r in rows if r["policy"].startswith("static-")}),
        ("slmfleet", of(rows, OURS)),
        *(
            (name, {cell(r): r for r in rows if r["policy"] == name and is_default(r)})
            for name in ("hpa-kv", "hpa-max")
        ),
    ]
    body = []
    for key in sorted(of(rows, OURS)):
        top, own = best.get(key), columns[3][1][key]
        row = [key[0], *(run_text(found.get(key)) for _, found in columns)]
        named = f"{top['policy']} ({_text(top['params'])}) {run_text(top)}" if top else "none"
        body.append([*row, named, own["ttft_p99_s"], own["itl_attainment"], own["reversals"], own["regret"]])
    head = ["workload", *(title for title, _ in columns), "best of all points", "p99 s", "ITL ok", "turns", "regret"]
    return table(head, body)


def _families(rows: Sequence[Row]) -> str:
    body: list[list[object]] = []
    names = [OURS, *(["static"] if rows else []), *BASELINES]
    for name in names:
        mine = [r for r in rows if r["policy"] == name or (name == "static" and r["policy"].startswith("static-"))]
        for title, some in _groups(name, mine):
            if some:
                body.append([name, title, *summary(some).values()])
    head = ["policy", "configuration", "GPU / static", "met", "of", "short, points", "ITL ok", "turns/h"]
    return table(head, body)


def _groups(name: str, rows: Sequence[Row]) -> list[tuple[str, Sequence[Row]]]:
    if name not in BASELINES:
        return [("", rows)]
    groups: list[tuple[str, Sequence[Row]]] = [
        ("defaults", [r for r in rows if is_default(r)]),
        ("tuned on training", [r for r in rows if r["tuned"]]),
    ]
    if any(not is_default(r) and not r["tuned"] for r in rows):
        params, best = best_single(rows, name)
        groups.append((f"best single: {_text(params)}", best))
    return groups


def _parts(rows: Sequence[Row]) -> str:
    """slmfleet without each of its parts, on the cases that all of them ran on."""
    body: list[list[object]] = []
    for router in ("early", "late"):
        some = [r for r in rows if r["router"] == router and r["group"] in ("grid", "start")]
        known = {name: of(some, name) for name in (OURS, *ours.VARIANTS)}
        shared = set.intersection(*(set(runs) for runs in known.values()))
        if shared:
            body += [[router, name, *summary([runs[key] for key in shared]).values()] for name, runs in known.items()]
    return table(["router", "policy", "GPU / static", "met", "of", "short, points", "ITL ok", "turns/h"], body)


def _seeds(rows: Sequence[Row]) -> str:
    body: list[list[object]] = []
    for workload in SEEDS:
        for router in ("early", "late"):
            for name in (OURS, *BASELINES):
                some = [
                    r
                    for r in rows
                    if r["workload"] == workload and r["router"] == router and r["policy"] == name
                    and r["start"] == "mid" and not r["fault"] and (name == OURS or is_default(r))
                ]  # fmt: skip
                if len(some) > 1:
                    hours = [float(r["gpu_hours"]) for r in some]
                    share = [100 * float(r["ttft_attainment"]) for r in some]
                    spread = f"{sum(hours) / len(hours):.1f} ({min(hours):.1f}-{max(hours):.1f})"
                    body.append([workload, router, name, len(some), spread, f"{min(share):.2f}-{max(share):.2f}"])
    return table(["workload", "router", "policy", "seeds", "GPU-h", "in time, %"], body)
