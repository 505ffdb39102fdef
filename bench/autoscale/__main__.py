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
from bench.autoscale.oracles import measured
from bench.autoscale.ours import VARIANTS
from bench.autoscale.run import GOAL, Setting
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
    made.add_argument("--gpu", help=f"one of {', '.join(hardware.GPUS)} (default: the smallest that fits)")
    made.add_argument("--router", choices=["early", "late"], default="early", help="late: a demoting gateway")
    made.add_argument("--policy", nargs="+", choices=known, default=["all"], metavar="NAME", help=", ".join(known))
    made.add_argument("--json", type=Path, help="write the rows here")
    return made


def rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row per run, as it is done."""
    load, gpu = read(args)
    p90 = max(args.start_time_p90 or spread(args.start_time), args.start_time)
    yard = measured(load, Setting(gpu, args.start_time, p90, args.router, args.seed))
    hours = yard.load.duration / 3600
    note(f"{len(yard.load)} requests in {hours:.2f} h, static peak {yard.static} x {gpu.name}")
    if len(yard.load) < len(load):
        note(f"{len(load) - len(yard.load)} requests are longer than the KV cache of one engine and left out")
    if yard.static_outcome.ttft_attainment < GOAL:
        best = 100 * yard.static_outcome.ttft_attainment
        note(f"no fleet answers 99 % within {gpu.ttft:g} s: the static peak is the smallest that does {best:.1f} %")
    names = set(args.policy)
    if names & {"all", "static"}:
        yield compare.static_row(yard)
    if names & {"all", "oracle"}:
        yield from compare.bounds_rows(yard)
    for contender in compare.contenders():
        if names & {"all", contender.family}:
            yield compare.row(yard, contender)


def read(args: argparse.Namespace) -> tuple[Workload, hardware.Gpu]:
    """The window of the trace, at the scale that was asked for or that needs several replicas; and the GPU."""

    def at(scale: float) -> Workload:
        return traces.read(
            args.trace, args.format, scale=scale, start_hour=args.start_hour, hours=args.hours, seed=args.seed
        )

    load = at(args.scale or 1.0)
    gpu = hardware.named(args.gpu) if args.gpu else compare.fitting_gpu(load)
    if not args.scale:
        scale = compare.several_replicas(load, gpu, args.hours)
        note(f"--scale {scale:.3g} --gpu {gpu.name}")
        load = at(scale)
    if len(load) >= MAX_REQUESTS:
        note(f"only the first {len(load)} requests, {load.duration / 3600:.2f} h: a smaller --scale gives more hours")
    return load, gpu


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
