"""Runs autoscalers on a trace file: `python -m bench.autoscale --trace FILE --format azure|mooncake|servegen`.

Prints a table and, with --json, writes a list of rows. Without --scale the requests are multiplied so that the busiest
minutes need about eight replicas. All policies begin with the same replicas, may change them after 240 s, and are
billed from then on; the quota is twice the static peak.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.autoscale import compare, hardware, traces
from bench.autoscale.families import BASELINES
from bench.autoscale.oracles import Yardstick, measured
from bench.autoscale.ours import VARIANTS
from bench.autoscale.run import Setting
from bench.autoscale.workload import MAX_HOURS, MAX_REQUESTS, Workload

COLUMNS: Final = (
    ("policy", "policy"),
    ("tuned", "tuned"),
    ("GPU-h", "gpu_hours"),
    ("TTFT ok", "ttft_attainment"),
    ("ITL ok", "itl_attainment"),
    ("p50 s", "ttft_p50_s"),
    ("p99 s", "ttft_p99_s"),
    ("ITL p99 s", "itl_p99_s"),
    ("turns", "reversals"),
    ("recovery s", "recovery_s"),
    ("$/Mtok", "usd_per_million_tokens"),
    ("regret", "regret"),
)


def spread(p50: float) -> float:
    """The 90th percentile of a start time with this median: long starts wander more (images, weights, compiling)."""
    return p50 * (1.64 if p50 >= 90 else 1.35)


def parser() -> argparse.ArgumentParser:
    known = ["all", "slmfleet", *VARIANTS, "static", "oracle", *BASELINES]
    made = argparse.ArgumentParser(prog="python -m bench.autoscale", description=__doc__.splitlines()[0])
    made.add_argument("--trace", type=Path, required=True, help="the file; .gz is read too")
    made.add_argument("--format", choices=["azure", "mooncake", "servegen"], required=True)
    made.add_argument("--scale", type=float, help="requests times this (default: about eight replicas at the peak)")
    made.add_argument("--start-hour", type=float, default=0.0, help="where in the trace to begin")
    made.add_argument("--hours", type=float, help=f"how much of it (at most {MAX_HOURS:g})")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--start-time", type=float, default=110.0, help="median seconds until a new replica answers")
    made.add_argument("--start-time-p90", type=float, help="its 90th percentile")
    made.add_argument("--gpu", help=f"one of {', '.join(hardware.GPUS)} (default: H100 for mooncake, else L4)")
    made.add_argument("--router", choices=["early", "late"], default="early", help="late: a demoting gateway")
    made.add_argument("--policy", nargs="+", choices=known, default=["all"], metavar="NAME", help=", ".join(known))
    made.add_argument("--json", type=Path, help="write the rows here")
    return made


def rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row per run, as it is done."""
    load = read(args)
    p90 = args.start_time_p90 or spread(args.start_time)
    setting = Setting(gpu_of(args), args.start_time, max(p90, args.start_time), args.router, args.seed)
    yard = measured(load, setting)
    hours = yard.load.duration / 3600
    note(f"{len(yard.load)} requests in {hours:.2f} h, static peak {yard.static} x {setting.gpu.name}")
    if len(yard.load) < len(load):
        note(f"{len(load) - len(yard.load)} requests are longer than the KV cache of one engine and left out")
    names = set(args.policy)
    for name in ("static", "oracle"):
        if names & {"all", name}:
            yield from compare.bounds_rows(yard) if name == "oracle" else [compare.static_row(yard)]
    yield from _policies(yard, names)


def _policies(yard: Yardstick, names: set[str]) -> Iterator[dict[str, Any]]:
    for contender in compare.contenders(yard.setting):
        if names & {"all", contender.family}:
            yield compare.row(yard, contender)


def gpu_of(args: argparse.Namespace) -> hardware.Gpu:
    """The GPU that was asked for, else one that holds the format's prompts."""
    return hardware.named(args.gpu or ("H100" if args.format == "mooncake" else "L4"))


def read(args: argparse.Namespace) -> Workload:
    """The window of the trace, at the scale that was asked for or that needs several replicas."""

    def at(scale: float) -> Workload:
        return traces.read(
            args.trace, args.format, scale=scale, start_hour=args.start_hour, hours=args.hours, seed=args.seed
        )

    scale = args.scale or compare.several_replicas(at, gpu_of(args))
    load = at(scale)
    if len(load) >= MAX_REQUESTS:
        note(f"only the first {len(load)} requests, {load.duration / 3600:.2f} h: a smaller --scale gives more hours")
    if not args.scale:
        note(f"--scale {scale:.3g}")
    return load


def note(text: str) -> None:
    """For people, beside the table."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def shown(value: object) -> str:
    """A cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if 0.9 <= value < 1 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return "-" if value is None else str(value)


def table(made: Iterable[dict[str, Any]]) -> Table:
    """What is printed."""
    result = Table()
    for title, key in COLUMNS:
        result.add_column(title, justify="left" if key == "policy" else "right")
    for row in made:
        result.add_row(*(shown(row[key]) for _, key in COLUMNS))
    return result


def main() -> int:
    args = parser().parse_args()
    try:
        made = []
        for row in rows(args):
            made.append(row)
            note(f"{row['policy']}{' (tuned)' if row['tuned'] else ''}: {row['gpu_hours']:.2f} GPU-h")
    except (ValueError, OSError) as error:
        sys.stderr.write(f"python -m bench.autoscale: {error}\n")
        return 2
    Console(width=150).print(table(made))
    if args.json:
        args.json.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
