"""One run: a workload, a setting, a policy, and what came of it."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np

from bench.autoscale.fleet import Fleet, Requests, Results
from bench.autoscale.fleet import Settings as FleetSettings
from bench.autoscale.fleet.faults import Fault
from bench.autoscale.fleet.settings import Router
from bench.autoscale.hardware import BATCHED_TOKENS, BLOCK, MAX_NUM_SEQS, Gpu
from bench.autoscale.policies.static import static
from bench.autoscale.policy import Floats, Policy
from bench.autoscale.workload import Workload
from slmfleet.simulator.records import EngineModel

FREEZE: Final = 240.0
"""Seconds in which nobody scales; billing and counting begin at their end."""
TAIL: Final = 600.0
"""Seconds after the last arrival in which answers still count."""
GOAL: Final = 0.99
HOPELESS: Final = 0.08
"""A run of a grid ends when this share of all its requests is late already: it will not be chosen."""
REVERSAL: Final = 600.0
SPARED: Final = 0.002
"""Of attainment, that the static peak may give up where the goal cannot be reached."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What surrounds a policy."""

    gpu: Gpu
    start_p50: float
    start_p90: float
    router: Router = "early"
    seed: int = 1
    replicas: int = 1
    """At the beginning."""
    quota: int = 64
    faults: tuple[Fault, ...] = ()

    @property
    def lead(self) -> float:
        """Seconds that starting a replica takes on average, roughly."""
        return (self.start_p50 + self.start_p90) / 2


@dataclass(frozen=True)
class Outcome:
    """What a run brought; requests count from FREEZE on."""

    gpu_hours: float
    ttft_attainment: float
    itl_attainment: float
    ttft_p50_s: float
    ttft_p99_s: float
    itl_p50_s: float
    itl_p99_s: float
    reversals: int
    changes: int
    recovery_s: float | None
    usd_per_million_tokens: float
    mean_replicas: float
    failed: int
    preemptions: int
    requests: int
    aborted: bool = False
    series: dict[str, list[float]] = field(default_factory=dict, repr=False)
    """Replicas asked for and ready, requests per second, late share: one value for each 30 s."""

    def row(self) -> dict[str, Any]:
        """Everything but the series, rounded."""
        values = {key: value for key, value in asdict(self).items() if key != "series"}
        return {key: round(v, 5) if isinstance(v, float) else v for key, v in values.items()}


def engine(gpu: Gpu, load: Workload) -> EngineModel:
    """The engine that serves a workload on a GPU; prefixes are cached where the workload knows them."""
    s = gpu.step
    return EngineModel(
        num_blocks=gpu.kv_tokens // BLOCK,
        a=s.a,
        p=s.p,
        d=s.d,
        kappa=s.kappa,
        max_num_seqs=MAX_NUM_SEQS,
        max_num_batched_tokens=BATCHED_TOKENS,
        block_size=BLOCK,
        prefix_blocks=load.block_tokens // BLOCK,
    )


def requests(load: Workload) -> Requests:
    """The workload as the simulated fleet takes it."""
    if load.blocks is None or load.first_block is None:
        return Requests(load.arrival, load.prompt, load.output)
    return Requests(
        load.arrival, load.prompt, load.output, load.blocks, load.first_block[1:], hash_tokens=load.block_tokens
    )


def run(load: Workload, setting: Setting, policy: Policy, *, abort: bool = False) -> Outcome:
    """Simulate. With `abort` a run that has missed too much ends early; its numbers are then low estimates."""
    fleet = Fleet(requests(load), engine(setting.gpu, load), _fleet_settings(setting), seed=setting.seed)
    due, end, late_limit, late = 0.0, load.duration + TAIL, HOPELESS * len(load), 0.0
    while fleet.now < end and not (fleet.done and fleet.now >= load.duration):
        fleet.advance(fleet.now + 1)
        look = fleet.look(policy.lag)
        policy.look(look)
        late += look.signals.late_first_tokens
        if fleet.now >= due:
            wanted = policy.desired(fleet.now, fleet.asked, fleet.ready)
            due += policy.period
            if fleet.now >= FREEZE:
                fleet.scale(min(max(wanted, 1), setting.quota))
        if abort and late > late_limit:
            return _outcome(load, setting, fleet.results(), fleet.now, aborted=True)
    return _outcome(load, setting, fleet.results(), fleet.now)


def _fleet_settings(setting: Setting) -> FleetSettings:
    return FleetSettings(
        router=setting.router,
        replicas=setting.replicas,
        quota=setting.quota,
        start_p50=setting.start_p50,
        start_p90=setting.start_p90,
        ttft_objective=setting.gpu.ttft,
        itl_objective=setting.gpu.itl,
        faults=setting.faults,
    )


def _outcome(load: Workload, setting: Setting, results: Results, now: float, *, aborted: bool = False) -> Outcome:
    until = min(load.duration, now)
    counted = (load.arrival >= FREEZE) & (load.arrival <= until)
    if not counted.any():
        counted = load.arrival <= until
    # Who has no token yet has waited at least until now.
    ttft = np.where(np.isfinite(results.ttft), results.ttft, np.maximum(now - load.arrival, 0))[counted]
    answered = np.isfinite(results.ttft)[counted]
    finished = np.isfinite(results.tpot) & counted & (load.output > 1)
    tpot = results.tpot[finished] if finished.any() else np.zeros(1)
    in_time = answered & (ttft <= setting.gpu.ttft) & ~results.failed[counted]
    gpu_hours = results.gpu_seconds(FREEZE, until) / 3600
    tokens = float((load.prompt + load.output)[counted & np.isfinite(results.ttft)].sum())
    whole = results.at >= FREEZE
    reversals, changes = _turns(results.at[whole], results.asked[whole])
    return Outcome(
        gpu_hours=gpu_hours,
        ttft_attainment=float(in_time.mean()),
        itl_attainment=float((tpot <= setting.gpu.itl).mean()),
        ttft_p50_s=float(np.percentile(ttft, 50)),
        ttft_p99_s=float(np.percentile(ttft, 99)),
        itl_p50_s=float(np.percentile(tpot, 50)),
        itl_p99_s=float(np.percentile(tpot, 99)),
        reversals=reversals,
        changes=changes,
        recovery_s=_recovery(load, load.arrival[counted][~in_time]),
        usd_per_million_tokens=gpu_hours * setting.gpu.usd_per_hour / max(tokens, 1.0) * 1e6,
        mean_replicas=gpu_hours * 3600 / max(until - FREEZE, 1.0),
        failed=int(results.failed[counted].sum()),
        preemptions=results.preemptions,
        requests=int(counted.sum()),
        aborted=aborted,
        series=_series(load, setting, results, until),
    )


def _turns(at: Floats, asked: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> tuple[int, int]:
    """Changes of direction within REVERSAL of the change before, and the sum of all changes."""
    steps = np.diff(asked)
    where = np.flatnonzero(steps)
    signs, times = np.sign(steps[where]), at[1:][where]
    turned = (signs[1:] != signs[:-1]) & (np.diff(times) < REVERSAL)
    return int(turned.sum()), int(np.abs(steps).sum())


def _recovery(load: Workload, late: Floats) -> float | None:
    """Seconds from a step of the load to the arrival of the last request that it made late; the worst of the steps."""
    if not load.steps:
        return None
    ends = [*load.steps[1:], math.inf]
    return max(
        float(late[(late >= step) & (late < min(end, step + 1500))].max(initial=step)) - step
        for step, end in zip(load.steps, ends, strict=True)
    )


def _series(load: Workload, setting: Setting, results: Results, until: float) -> dict[str, list[float]]:
    width = 30.0 if load.duration <= 4 * 3600 else 300.0
    bins = max(1, math.ceil(until / width))
    index = np.minimum((load.arrival / width).astype(np.int64), bins - 1)
    inside = load.arrival <= until
    counts = np.bincount(index[inside], minlength=bins)
    late = np.bincount(index[inside], (results.ttft > setting.gpu.ttft)[inside], minlength=bins)
    pick = np.searchsorted(results.at, np.arange(bins) * width).clip(max=max(0, len(results.at) - 1))
    return {
        "seconds": [width * i for i in range(bins)],
        "rps": [round(float(c) / width, 3) for c in counts],
        "late": [round(float(m) / max(1, c), 4) for m, c in zip(late, counts, strict=True)],
        "asked": [float(v) for v in results.asked[pick]],
        "ready": [float(v) for v in results.ready[pick]],
    }


def static_peak(load: Workload, setting: Setting, guess: int, most: int) -> tuple[int, Outcome]:
    """The smallest constant fleet with 99 % of the requests in time, in hindsight, and its run.

    Where not even `most` replicas reach that (prompts that take longer than the objective by themselves), the smallest
    that does as well as those do, within SPARED.
    """
    seen: dict[int, Outcome] = {}
    goal = GOAL

    def reached(n: int) -> bool:
        if n not in seen:
            quota = replace(setting, replicas=n, quota=n, faults=())
            seen[n] = run(load, quota, static(n), abort=goal == GOAL and n < most)
        return not seen[n].aborted and seen[n].ttft_attainment >= goal

    high = min(max(1, guess), most)
    while not reached(high) and high < most:
        high = min(most, high + max(1, high // 3))
    if not reached(high):
        goal = seen[high].ttft_attainment - SPARED
        seen = {high: seen[high]}
    return _smallest(reached, high), seen[_smallest(reached, high)]


def _smallest(reached: Callable[[int], bool], high: int) -> int:
    """By steps down that grow, then halving; `high` is known to do."""
    low, step = high, 1
    while low > 0 and reached(low):
        high, low, step = low, max(0, low - step), 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
