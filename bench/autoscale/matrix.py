"""The whole comparison: `python -m bench.autoscale.matrix [--smoke] [--processes N] [--work DIR]`.

Tunes the baselines on the training cases, runs everybody on the scored ones, and writes bench/results/autoscale.json,
autoscale.md and the plots. Each run's row is kept in the work directory under a key that covers everything it depends
on, the code included: a run that was cut goes on where it stopped.
"""

import argparse
import json
import os
import pickle
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from bench.autoscale import cases, keys, ours
from bench.autoscale.cases import FAULTS, Case
from bench.autoscale.compare import Contender, bounds_rows, contender, described, static_row, tuned_points
from bench.autoscale.families import BASELINES, Params
from bench.autoscale.oracles import Yardstick, feasible, measured
from bench.autoscale.report import write
from bench.autoscale.run import run
from bench.autoscale.tuning import best_points, save_tuned

ROOT: Final = Path(__file__).parents[2]
WORK: Final = ROOT / "build" / "autoscale"
ORACLES: Final = "oracles"
CHUNK: Final = 4
"""Policies that one task runs: short enough to balance, long enough to share a loaded workload."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One policy on one case."""

    case: Case
    family: str
    """Or ORACLES: static peak and bounds."""
    params: tuple[tuple[str, Any], ...] = ()
    tuned: bool = False
    abort: bool = False

    def key(self) -> str:
        """Of all that the row depends on."""
        mine = keys.ours() if self.family.startswith("slmfleet") else keys.policies()
        return keys.digest(keys.of_case(self.case), mine, self.family, self.params, self.abort)

    @property
    def rank(self) -> int:
        """What comes first, should there be no time for all: the points of grids come last."""
        family = BASELINES.get(self.family)
        of_grid = family is not None and self.params != _frozen(family.defaults) and not self.tuned
        heavy = self.case.workload in cases.HEAVY
        return (2 + heavy if of_grid else 0) + (self.case.group not in ("grid", "start", "train") and not of_grid)


def jobs(case: Case, tuned: dict[str, Params]) -> Iterator[Job]:
    """What a case runs; on the training cases every point, on nobody's behalf but the baselines'."""
    if case.group != "train":
        yield Job(case, ORACLES)
        whole = case.group == "grid" or (case.group == "start" and case.start == "mid")
        names = ("slmfleet", *ours.VARIANTS) if whole else ("slmfleet",)
        yield from (Job(case, name) for name in names)
    for family in BASELINES.values():
        points = family.grid if case.group in ("train", "grid") else ()
        yield Job(case, family.name, _frozen(family.defaults), abort=case.group == "train")
        yield from (Job(case, family.name, _frozen(p), abort=True) for p in points if p != tuned.get(family.name))
        if family.name in tuned:
            yield Job(case, family.name, _frozen(tuned[family.name]), tuned=True)


def _frozen(params: Params) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(params.items()))


@lru_cache(maxsize=1)
def yardstick(case: Case, work: Path) -> Yardstick:
    """The static peak and the bounds of a case, from the work directory where they are known."""
    load, setting = cases.workload(case.workload, case.seed), case.setting()
    key = keys.digest(keys.of_case(replace(case, fault="", group="grid")), keys.policies())
    path = work / "yards" / f"{key}.pickle"
    if path.exists():
        yard: Yardstick = pickle.loads(path.read_bytes())
    else:
        yard = measured(load, setting)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(pickle.dumps(yard))
        part.rename(path)
    if not case.fault:
        return yard
    return replace(yard, setting=replace(yard.setting, faults=FAULTS[case.fault](yard.static)))


def done(task: list[Job], work: Path) -> list[tuple[str, list[Row]]]:
    """Run a task's jobs; one list of rows for each."""
    return [(job.key(), list(_rows(job, yardstick(job.case, work)))) for job in task]


def _rows(job: Job, yard: Yardstick) -> Iterator[Row]:
    extra = {"workload": job.case.workload, "start": job.case.start, "group": job.case.group, "fault": job.case.fault}
    if job.family == ORACLES:
        for row in _oracles(job, yard):
            yield row | extra
        return
    params = dict(job.params)
    if job.family in BASELINES:
        who = contender(BASELINES[job.family], params, tuned=job.tuned)
    else:
        who = Contender(job.family, params, tuned=False, make=ours.maker(job.family))
    outcome = run(yard.load, yard.setting, who.make(yard.setting), abort=job.abort)
    row = described(yard, who.family, outcome, tuned=who.tuned, params=params)
    keep = job.family == "slmfleet" or (job.family in BASELINES and params == BASELINES[job.family].defaults)
    yield row | extra | ({"series": outcome.series} if keep else {})


def _oracles(job: Job, yard: Yardstick) -> Iterator[Row]:
    if not job.case.fault:
        yield static_row(yard)
        yield from bounds_rows(yard)
        return
    # The plan was made for a world without the fault: what it loses is what nobody could have helped.
    _, plan = feasible(replace(yard, setting=replace(yard.setting, faults=())))
    yield described(yard, "oracle-ub", run(yard.load, yard.setting, plan))


class Store:
    """Rows by their keys, in one file that only grows."""

    def __init__(self, work: Path) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._path = work / "rows.jsonl"
        self.rows: dict[str, list[Row]] = {}
        if not self._path.exists():
            return
        text = self._path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # the last line of a run that was killed may be half
        if whole != text:
            self._path.write_text(whole, encoding="utf-8")
        for line in whole.splitlines():
            entry = json.loads(line)
            self.rows[entry["key"]] = entry["rows"]

    def add(self, key: str, rows: list[Row]) -> None:
        """Keep what a job brought."""
        self.rows[key] = rows
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "rows": rows}) + "\n")


def finished(wanted: list[Job], store: Store, work: Path, processes: int) -> list[Row]:
    """Run what the store does not have yet, with as many processes; without any give the rows that there are."""
    known = {job: job.key() for job in wanted}
    missing = [job for job in wanted if known[job] not in store.rows]
    together: dict[tuple[int, Case], list[Job]] = defaultdict(list)
    for job in sorted(missing, key=lambda job: job.rank):
        together[job.rank, job.case].append(job)
    tasks = [some[i : i + CHUNK] for some in together.values() for i in range(0, len(some), CHUNK)]
    say(f"{len(wanted)} runs, {len(missing)} to do")
    began = time.monotonic()
    with ProcessPoolExecutor(max(1, processes)) as pool:
        waiting = [pool.submit(done, task, work) for task in tasks if processes]
        for count, future in enumerate(as_completed(waiting), 1):
            for key, rows in future.result():
                store.add(key, rows)
            if count % 25 == 0 or count == len(tasks):
                say(f"{count} of {len(tasks)} tasks, {time.monotonic() - began:.0f} s")
    # Whether a point is the tuned one is the caller's to say: the run is the same.
    return [row | {"tuned": job.tuned} for job in wanted for row in store.rows.get(known[job], [])]


def say(text: str) -> None:
    """Progress."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.autoscale.matrix", description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a minute's worth, into the work directory")
    parser.add_argument("--only", nargs="*", default=[], help="only these workloads")
    parser.add_argument("--group", nargs="*", default=[], help="only these groups of cases")
    parser.add_argument("--ours", action="store_true", help="only slmfleet and its variants, and the oracles")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="0: report what has been run")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--out", type=Path, help="where results go (default: bench/results, with --smoke the work dir)")
    args = parser.parse_args()
    store = Store(args.work)
    if not args.smoke and not args.ours and not args.only and not args.group:
        training = [job for case in cases.training() for job in jobs(case, {})]
        save_tuned(best_points(finished(training, store, args.work, args.processes)))
    wanted, tuned = [], tuned_points()
    for case in cases.smoke() if args.smoke else cases.scored():
        if (args.only and case.workload not in args.only) or (args.group and case.group not in args.group):
            continue
        wanted += [j for j in jobs(case, tuned) if not args.ours or j.family == ORACLES or j.family.startswith("slm")]
    rows = finished(wanted, store, args.work, args.processes)
    partial = args.smoke or args.ours or args.only or args.group
    out = args.out or (args.work if partial else ROOT / "bench" / "results")
    write(rows, out, missing=sum(job.key() not in store.rows for job in wanted))
    say(f"results in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
