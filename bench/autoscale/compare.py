"""Rows of the comparison: who contends, and what a run of theirs says."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.autoscale import ours
from bench.autoscale.families import BASELINES, Family, Params
from bench.autoscale.hardware import Gpu, roomy
from bench.autoscale.oracle import work
from bench.autoscale.oracles import Yardstick, feasible
from bench.autoscale.policy import Policy
from bench.autoscale.run import GOAL, Outcome, Setting, run
from bench.autoscale.workload import MAX_REQUESTS, Workload, fitting

TUNED: Final = Path(__file__).parent / "data" / "tuned.json"
"""For each family the point of its grid that is best on the training slices (bench.autoscale.matrix)."""
REPLICAS: Final = 8.0
"""That the busiest minutes need where nobody chose a scale."""


@dataclass(frozen=True)
class Contender:
    """A policy with its parameters, before it has met a workload."""

    family: str
    params: Params
    tuned: bool
    make: Callable[[Setting], Policy]


def contender(family: Family, params: Params, *, tuned: bool) -> Contender:
    """One point of a family."""
    return Contender(family.name, params, tuned, lambda setting: family.make(setting, **params))


def tuned_points() -> dict[str, Params]:
    """By family; empty before anybody has tuned."""
    if not TUNED.exists():
        return {}
    points: dict[str, Params] = json.loads(TUNED.read_text(encoding="utf-8"))
    return points


def contenders() -> Iterator[Contender]:
    """Ours, its variants, and each baseline with its defaults and as tuned on the training slices."""
    for name in ("slmfleet", *ours.VARIANTS):
        yield Contender(name, {}, tuned=False, make=ours.maker(name))
    tuned = tuned_points()
    for family in BASELINES.values():
        yield contender(family, family.defaults, tuned=False)
        if family.name in tuned:
            yield contender(family, tuned[family.name], tuned=True)


def row(yard: Yardstick, who: Contender, *, abort: bool = False) -> dict[str, Any]:
    """One policy on one workload."""
    outcome = run(yard.load, yard.setting, who.make(yard.setting), abort=abort)
    return described(yard, who.family, outcome, tuned=who.tuned, params=who.params)


def described(
    yard: Yardstick, policy: str, outcome: Outcome, *, tuned: bool = False, params: Params | None = None
) -> dict[str, Any]:
    """A run's numbers with what they belong to."""
    return {
        **labels(yard, policy),
        "tuned": tuned,
        "params": params or {},
        **outcome.row(),
        "regret": round(yard.regret(outcome.gpu_hours), 4),
        "met": outcome.ttft_attainment >= GOAL and not outcome.aborted,
    }


def labels(yard: Yardstick, policy: str) -> dict[str, Any]:
    """What a row belongs to."""
    s = yard.setting
    return {
        "policy": policy,
        "trace": yard.load.name,
        "semi_synthetic": yard.load.sampled,
        "gpu": s.gpu.name,
        "router": s.router,
        "seed": s.seed,
        "start_time_s": s.start_p50,
        "start_time_p90_s": round(s.start_p90, 1),
        "hours": round(yard.load.duration / 3600, 3),
        "ttft_objective_s": s.gpu.ttft,
        "itl_objective_s": s.gpu.itl,
        "static": yard.static,
    }


def static_row(yard: Yardstick) -> dict[str, Any]:
    """The smallest constant fleet that keeps the objective."""
    return described(yard, f"static-{yard.static}", yard.static_outcome)


def bounds_rows(yard: Yardstick) -> Iterator[dict[str, Any]]:
    """LB0 and LB1, which serve 99 % by construction and have no latencies, and the feasible oracle."""
    blank = dict.fromkeys(yard.static_outcome.row())
    for name, hours in (("oracle-lb0", yard.lb0_hours), ("oracle-lb1", yard.plan.gpu_hours)):
        numbers = {"gpu_hours": round(hours, 5), "ttft_attainment": GOAL, "regret": round(yard.regret(hours), 4)}
        yield {**labels(yard, name), "tuned": False, "params": {}, **blank, **numbers, "met": True}
    yield described(yard, "oracle-ub", feasible(yard)[0])


def fitting_gpu(load: Workload) -> Gpu:
    """The smallest that can keep its objective for 99 % of a trace's requests."""
    prompt, total = np.percentile(load.prompt, 99), np.percentile(load.prompt + load.output, 99)
    return roomy(float(prompt), float(total))


def several_replicas(load: Workload, gpu: Gpu, hours: float | None) -> float:
    """The scale at which a trace's busiest minutes need REPLICAS, or less, so that the bound leaves whole `hours`."""
    requests = len(load) * (1.0 if hours is None else hours * 3600 / load.duration)
    load = fitting(load, gpu.kv_tokens - 16)
    seconds = np.bincount((load.arrival / 60).astype(np.int64), work(load, gpu).total) / 60
    busy = float(np.percentile(seconds, 98))
    if busy <= 0:
        raise ValueError(f"{load.name}: the window has no work; choose another --start-hour")
    bound = math.inf if hours is None and len(load) >= MAX_REQUESTS else MAX_REQUESTS / requests
    return min(REPLICAS / busy, bound)
