"""The comparison's plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.autoscale.families import BASELINES
from bench.autoscale.targets import OURS, Row, is_default

mpl.use("Agg")

SHOWN: Final = ("conv", "code", "servegen-r1", "step", "burst", "spiky-12h")
COLOURS: Final = {family: f"C{index}" for index, family in enumerate(BASELINES)}
"""One for each family, everywhere the same."""


def draw(rows: Sequence[Row], folder: Path) -> None:
    """autoscale-pareto.png, autoscale-replicas.png: those that the rows have something for."""
    main = [row for row in rows if row["start"] == "mid" and row["group"] in ("grid", "start")]
    names = [name for name in SHOWN if any(row["workload"] == name for row in main)]
    if not names:  # a part of the comparison: whatever there is
        main = [row for row in rows if not row["fault"]]
        names = sorted({str(row["workload"]) for row in main})[:6]
    if names:
        pareto(main, names, folder / "autoscale-pareto.png")
        replicas(main, names, folder / "autoscale-replicas.png")


def _axes(names: Sequence[str], width: float, height: float) -> tuple[Figure, list[Any]]:
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(width * columns, height * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    flat = list(axes.flat)
    for unused in flat[len(names) :]:
        unused.set_visible(False)
    return figure, flat


def pareto(rows: Sequence[Row], names: Sequence[str], path: Path) -> None:
    """GPU-hours against the share of requests too late, each family's points, its default as a square."""
    figure, axes = _axes(names, 5, 4)
    for axis, name in zip(axes, names, strict=False):
        some = [row for row in rows if row["workload"] == name and row["gpu_hours"] and not row.get("aborted")]
        for family, colour in COLOURS.items():
            _points(axis, [r for r in some if r["policy"] == family and not is_default(r)], colour, "o", 14)
            _points(axis, [r for r in some if r["policy"] == family and is_default(r)], colour, "s", 42, family)
        plain = [r for r in some if r["router"] == "early"]
        _points(axis, [r for r in plain if r["policy"].startswith("static-")], "grey", "D", 42, "static peak")
        _points(axis, [r for r in plain if r["policy"] == "oracle-ub"], "black", "P", 60, "oracle")
        _points(axis, [r for r in plain if r["policy"] == OURS], "crimson", "*", 190, "slmfleet")
        gateway = [r for r in some if r["policy"] == OURS and r["router"] == "late"]
        _points(axis, gateway, "none", "*", 190, "slmfleet, demoting gateway", edge="crimson")
        bound = [float(r["gpu_hours"]) for r in some if r["policy"] == "oracle-lb1"]
        if bound:
            axis.axvline(min(bound), color="black", lw=0.8, ls=":")
        axis.axhline(0.01, color="black", lw=0.8, ls="--")
        axis.set(title=name, yscale="log", xlabel="GPU-hours", ylabel="requests too late", ylim=(5e-5, 1))
        axis.invert_yaxis()
    axes[0].legend(fontsize=6, loc="lower right")
    figure.savefig(path, dpi=90)


def _points(
    axis: Any,  # noqa: ANN401 - matplotlib's
    rows: Sequence[Row],
    colour: Any,  # noqa: ANN401 - matplotlib's
    marker: str,
    size: float,
    label: str | None = None,
    edge: str = "none",
) -> None:
    if rows:
        late = [max(1e-4, 1 - float(row["ttft_attainment"])) for row in rows]
        hours = [float(row["gpu_hours"]) for row in rows]
        axis.scatter(hours, late, s=size, color=colour, marker=marker, label=label, edgecolors=edge, zorder=len(marker))


def replicas(rows: Sequence[Row], names: Sequence[str], path: Path) -> None:
    """Replicas that were ready and the load, over time: ours, and an HPA on KV usage with its defaults."""
    figure, axes = _axes(names, 6, 3.2)
    for axis, name in zip(axes, names, strict=False):
        some = [r for r in rows if r["workload"] == name and r.get("series") and r["router"] == "early"]
        ours = [r for r in some if r["policy"] == OURS]
        theirs = [r for r in some if r["policy"] == "hpa-kv" and is_default(r)]
        for found, colour, label in ((ours, "crimson", "slmfleet"), (theirs, "tab:blue", "hpa-kv")):
            for row in found[:1]:
                hours = [second / 3600 for second in row["series"]["seconds"]]
                axis.plot(hours, row["series"]["ready"], color=colour, lw=1.2, label=label, drawstyle="steps-post")
        load = axis.twinx()
        for row in ours[:1]:
            hours = [second / 3600 for second in row["series"]["seconds"]]
            load.fill_between(hours, row["series"]["rps"], color="grey", alpha=0.25, lw=0)
        load.set_ylabel("requests/s", color="grey")
        axis.set(title=name, xlabel="hours", ylabel="replicas ready")
        axis.set_ylim(bottom=0)
    axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=90)
