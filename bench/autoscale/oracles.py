"""Static peak, LB1's plan and the feasible oracle: what every policy of a workload and setting is held against."""

import math
from dataclasses import dataclass, replace

import numpy as np

from bench.autoscale.oracle import Plan, lb0, lb1, work
from bench.autoscale.policies.static import Schedule
from bench.autoscale.run import FREEZE, GOAL, Outcome, Setting, run, static_peak
from bench.autoscale.workload import Ints, Workload, fitting

ROUNDS = 12
"""Of raising the oracle's plan where requests are late."""


@dataclass(frozen=True)
class Yardstick:
    """A workload, ready to run, with what bounds it."""

    load: Workload
    setting: Setting
    """With the common number of replicas to begin with and the quota."""
    static: int
    static_outcome: Outcome
    lb0_hours: float
    plan: Plan

    def regret(self, gpu_hours: float) -> float:
        """0 at the bound, 1 at the static peak. Where both are the same, what exceeds them counts in GPU-hours."""
        span = self.static_outcome.gpu_hours - self.plan.gpu_hours
        return (gpu_hours - self.plan.gpu_hours) / max(span, 1e-3 * self.plan.gpu_hours, 1e-9)


def first_replicas(load: Workload, setting: Setting) -> int:
    """What the first five minutes need on average at the bound's cost, and three tenths more."""
    seconds = min(FREEZE + 60, load.duration)
    costs = work(load, setting.gpu)
    early = (costs.prefill + costs.decode)[load.arrival < seconds]
    return max(1, math.ceil(1.3 * float(early.sum()) / seconds))


def measured(load: Workload, setting: Setting) -> Yardstick:
    """Find the static peak and the bounds; the quota becomes twice the peak.

    Raises ValueError where no fleet keeps the objective.
    """
    load = fitting(load, setting.gpu.kv_tokens - 16)
    rates = np.bincount((load.arrival / 60).astype(np.int64), work(load, setting.gpu).total) / 60
    peak, outcome = static_peak(load, setting, math.ceil(1.3 * float(rates.max(initial=0))))
    begin = min(peak, first_replicas(load, setting))
    plan = lb1(load, setting.gpu, setting.start_p50, since=FREEZE, replicas=begin)
    ready = replace(setting, replicas=begin, quota=2 * peak)
    return Yardstick(load, ready, peak, outcome, lb0(load, setting.gpu, FREEZE), plan)


def feasible(yard: Yardstick) -> tuple[Outcome, Schedule]:
    """UB: the plan's run, with replicas added where requests are late, until 99 % are in time or nothing helps."""
    plan = yard.plan.replicas.copy()
    tried: list[tuple[float, float, Outcome, Schedule]] = []
    for _ in range(ROUNDS):
        schedule = Schedule("oracle-ub", _asked(plan, yard), yard.plan.bin)
        outcome = run(yard.load, yard.setting, schedule)
        tried.append((min(outcome.ttft_attainment, GOAL), -outcome.gpu_hours, outcome, schedule))
        if outcome.ttft_attainment >= GOAL:
            break
        plan = _raised(plan, outcome, yard)
    _, _, outcome, schedule = max(tried, key=lambda found: found[:2])
    return outcome, schedule


def _asked(plan: Ints, yard: Yardstick) -> Ints:
    """What has to be asked for so that the plan's replicas are ready in nine starts of ten."""
    ahead = math.ceil(yard.setting.start_p90 / yard.plan.bin)
    padded = np.pad(plan, (0, ahead), mode="edge")
    asked: Ints = np.max([padded[i : i + len(plan)] for i in range(ahead + 1)], axis=0)
    return np.minimum(asked, yard.setting.quota)


def _raised(plan: Ints, outcome: Outcome, yard: Yardstick) -> Ints:
    """One more, or a tenth, around every 30 s in which more than 1 % were late, from a minute before."""
    raised = plan.copy()
    seconds, late = np.array(outcome.series["seconds"]), np.array(outcome.series["late"])
    width = float(seconds[1] - seconds[0]) if len(seconds) > 1 else 30.0
    for at in seconds[late > 0.01]:
        first, last = int(max(0.0, at - 60) / yard.plan.bin), math.ceil((at + width) / yard.plan.bin)
        raised[first:last] = np.maximum(raised[first:last], plan[first:last] + np.maximum(1, plan[first:last] // 10))
    return np.minimum(raised, yard.setting.quota)
