"""Static peak, LB1's plan and the feasible oracle: what every policy of a workload and setting is held against."""

import math
from dataclasses import dataclass, replace

import numpy as np

from bench.autoscale.oracle import Plan, lb0, lb1, work
from bench.autoscale.policies.static import Schedule
from bench.autoscale.policy import Floats
from bench.autoscale.run import FREEZE, GOAL, Outcome, Setting, run, static_peak
from bench.autoscale.workload import Ints, Workload, fitting

ROUNDS = 16
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
        """0 at the bound, 1 at the static peak; where these are all but the same, in twentieths of the static peak."""
        static = self.static_outcome.gpu_hours
        return (gpu_hours - self.plan.gpu_hours) / max(static - self.plan.gpu_hours, static / 20, 1e-9)


def busy_minutes(load: Workload, setting: Setting) -> Floats:
    """Replicas that each minute's requests need at the bound's cost."""
    minutes = max(1, math.ceil(load.duration / 60))
    sums = np.bincount((load.arrival / 60).astype(np.int64), work(load, setting.gpu).total, minlength=minutes)
    needed: Floats = sums / 60
    return needed


def first_replicas(needed: Floats, peak: int) -> int:
    """The part of the static peak that the first minutes need: the busiest of them against the busiest of all."""
    early = float(needed[: math.ceil(FREEZE / 60) + 1].max())
    return max(1, math.ceil(peak * early / max(float(needed.max()), 1e-9)))


def measured(load: Workload, setting: Setting) -> Yardstick:
    """Find the static peak and the bounds; the quota becomes twice the peak."""
    load = fitting(load, setting.gpu.kv_tokens - 16)
    needed = busy_minutes(load, setting)
    guess = math.ceil(1.3 * float(needed.max()))
    peak, outcome = static_peak(load, setting, guess, 4 * guess + 8)
    begin = first_replicas(needed, peak)
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
    if outcome.ttft_attainment < min(GOAL, yard.static_outcome.ttft_attainment):
        # Who knows everything can also keep the static peak from the first moment that is theirs.
        constant = Schedule("oracle-ub", [yard.static])
        return run(yard.load, yard.setting, constant), constant
    return outcome, schedule


def _asked(plan: Ints, yard: Yardstick) -> Ints:
    """What has to be asked for so that the plan's replicas are ready in nine starts of ten."""
    ahead = math.ceil(yard.setting.start_p90 / yard.plan.bin)
    padded = np.pad(plan, (0, ahead), mode="edge")
    asked: Ints = np.max([padded[i : i + len(plan)] for i in range(ahead + 1)], axis=0)
    return np.minimum(asked, yard.setting.quota)


def _raised(plan: Ints, outcome: Outcome, yard: Yardstick) -> Ints:
    """One more, or a fifth, around every 30 s in which more than 1 % were late, from a minute before."""
    raised = plan.copy()
    seconds, late = np.array(outcome.series["seconds"]), np.array(outcome.series["late"])
    width = float(seconds[1] - seconds[0]) if len(seconds) > 1 else 30.0
    for at in seconds[late > 0.01]:
        first, last = int(max(0.0, at - 60) / yard.plan.bin), math.ceil((at + width) / yard.plan.bin)
        raised[first:last] = np.maximum(raised[first:last], plan[first:last] + np.maximum(1, plan[first:last] // 5))
    return np.minimum(raised, yard.setting.quota)
