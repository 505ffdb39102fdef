"""What no autoscaler can go below: bounds for one that knows every request beforehand.

Work of a request, in seconds of one replica, as low as any schedule can make it:
    p * (prompt tokens that no earlier request has left in the prefix cache) + d * O + kappa * C + a * max(C / K, O / S)
with O output tokens, C = O * prompt + O^2 / 2 the KV tokens that its decode steps read, K tokens of KV cache, S
sequences per step: a step is shared by at most S sequences and K KV tokens. The dearest 1 % of requests are left out.
LB0 is its sum. LB1 adds whole replicas, the time that starting one bills, and deadlines: prefill is due at arrival +
TTFT objective, each token one ITL objective later; the cache must hold what runs even at the fastest decode. It is the
least cost over all plans, by dynamic programming over time, replicas and work left over. Leaving out the dearest 1 %
by size, not by place, makes it near to a bound rather than one. UB replays LB1's plan in the simulator and adds
replicas where requests are late until 99 % are in time: what a plan with foresight does reach.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.autoscale.hardware import MAX_NUM_SEQS, Gpu
from bench.autoscale.policy import Floats
from bench.autoscale.workload import Ints, Workload

ALLOWED = 0.01
"""The share of requests that may be late."""
LEVELS = 4
"""Parts of one replica's work in one bin: what the dynamic program tells apart."""


@dataclass(frozen=True)
class Work:
    """Each request's least work, in seconds of one replica."""

    prefill: Floats
    decode: Floats
    counted: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
    """Whether it belongs to the cheapest 99 %."""

    @property
    def total(self) -> Floats:
        """Of all requests, 0 for those that are not counted."""
        return np.where(self.counted, self.prefill + self.decode, 0.0)


def first_seen(load: Workload) -> Ints:
    """Prompt tokens that an endless prefix cache would not have had."""
    if load.blocks is None or load.first_block is None or not load.block_tokens:
        return load.prompt
    _, first = np.unique(load.blocks, return_index=True)
    fresh = np.zeros(len(load.blocks), np.int64)
    fresh[first] = 1
    sums = np.concatenate(([0], np.cumsum(fresh)))
    seen = (load.first_block[1:] - load.first_block[:-1]) - (sums[load.first_block[1:]] - sums[load.first_block[:-1]])
    tokens: Ints = np.maximum(load.prompt - seen * load.block_tokens, 1)
    return tokens


def work(load: Workload, gpu: Gpu) -> Work:
    """The least that each request costs."""
    s = gpu.step
    output = load.output.astype(np.float64)
    context = output * load.prompt + output**2 / 2
    prefill = s.p * first_seen(load).astype(np.float64)
    by_cache, by_sequences = context / gpu.kv_tokens, output / MAX_NUM_SEQS
    steps = by_cache if by_cache.sum() > by_sequences.sum() else by_sequences
    decode = s.d * output + s.kappa * context + s.a * steps
    cost = prefill + decode
    counted = np.ones(len(cost), bool)
    counted[np.argsort(cost)[len(cost) - int(ALLOWED * len(cost)) :]] = False
    return Work(prefill, decode, counted)


def lb0(load: Workload, gpu: Gpu, since: float) -> float:
    """GPU-hours from `since` on: all work at the best batch, and one replica at least."""
    seconds = float(work(load, gpu).total[load.arrival >= since].sum())
    return max(seconds, load.duration - since) / 3600


@dataclass(frozen=True)
class Plan:
    """LB1's replicas over time and what they cost."""

    replicas: Ints
    """One for each bin."""
    bin: float
    """Seconds."""
    gpu_hours: float
    """From `since` on, starts included."""


@dataclass(frozen=True)
class _Bins:
    """Work in units of a bin's work of one replica by LEVELS."""

    arrived: Ints
    due: Ints
    floor: Ints
    """Replicas whose caches hold what runs."""


def _bins(load: Workload, gpu: Gpu, size: float) -> _Bins:
    costs = work(load, gpu)
    count = math.ceil(load.duration / size)
    kept = np.flatnonzero(costs.counted)
    at = load.arrival[kept]
    unit = size / LEVELS

    def cumulative(times: Floats, amounts: Floats) -> Floats:
        row = np.bincount(np.minimum((times / size).astype(np.int64), count), amounts, minlength=count + 1)[:count]
        return np.cumsum(row)

    arrived = cumulative(at, (costs.prefill + costs.decode)[kept])
    due = cumulative(at + gpu.ttft, costs.prefill[kept])
    # A request's tokens are due one after the other; eight parts are as good as each token.
    for part in range(8):
        later = gpu.ttft + (part + 1) / 8 * load.output[kept] * gpu.itl
        due = due + cumulative(at + later, costs.decode[kept] / 8)
    whole = np.floor(np.vstack([arrived, np.minimum(due, arrived)]) / unit + 1e-9).astype(np.int64)
    return _Bins(np.diff(whole[0], prepend=0), np.diff(whole[1], prepend=0), _floor(load, gpu, size, count, kept))


def _floor(load: Workload, gpu: Gpu, size: float, count: int, kept: Ints) -> Ints:
    """Replicas whose caches hold what runs if every request runs alone, and begins when its objective lets it."""
    s = gpu.step
    prompt, output = load.prompt[kept].astype(np.float64), load.output[kept].astype(np.float64)
    lasts = s.p * prompt + output * (s.a + s.d + s.kappa * (prompt + output / 2))
    held = lasts * (prompt + output / 2)
    begin = load.arrival[kept]
    curve = np.zeros(count + 2)
    for part in range(4):
        index = np.minimum(((begin + (part + 0.5) / 4 * lasts) / size).astype(np.int64), count)
        curve += np.bincount(index, held / 4, minlength=count + 2)
    tokens = curve[:count] / size
    late = max(1, math.ceil(gpu.ttft / size))
    padded = np.pad(tokens, late, mode="edge")
    calm = np.min([padded[i : i + count] for i in range(2 * late + 1)], axis=0)
    floor: Ints = np.maximum(1, np.ceil(calm / gpu.kv_tokens - 1e-9)).astype(np.int64)
    return floor


def lb1(load: Workload, gpu: Gpu, start: float, *, since: float, replicas: int, size: float | None = None) -> Plan:
    """The cheapest plan that begins with `replicas`, may change from `since` on, and pays `start` seconds per start."""
    size = size or (10.0 if load.duration <= 6 * 3600 else 20.0 if load.duration <= 12 * 3600 else 60.0)
    bins = _bins(load, gpu, size)
    frozen = math.ceil((since + start) / size)
    backlog_limit = np.maximum(np.cumsum(bins.arrived) - np.cumsum(bins.due), 0)
    # Nobody can answer for what came before the first replica of their own was ready.
    backlog_limit[: frozen + math.ceil(60 / size)] = backlog_limit.max(initial=0) + int(bins.arrived[:frozen].sum())
    most = int(max(replicas, bins.floor.max(), math.ceil(_peak(bins) / LEVELS))) + 2
    choices = _solve(bins, backlog_limit, most, frozen, (start, size))
    path, backlog, n = [], 0, replicas
    for t in range(len(bins.arrived)):
        n = n if t < frozen else int(choices[t, min(backlog, choices.shape[1] - 1), n - 1]) + 1
        backlog = max(0, backlog + int(bins.arrived[t]) - n * LEVELS)
        path.append(n)
    plan = np.array(path, np.int64)
    starts = np.maximum(np.diff(plan), 0).sum() * start
    billed = np.clip((np.arange(len(plan)) + 1) * size - since, 0, size)
    billed[-1] -= max(0.0, len(plan) * size - load.duration)
    return Plan(plan, size, float((plan * billed).sum() + starts) / 3600)


def _peak(bins: _Bins) -> float:
    """Units per bin that nobody needs more than: the busiest minute."""
    width = min(6, len(bins.arrived))
    return float(np.convolve(bins.arrived, np.ones(width) / width, "valid").max())


def _solve(
    bins: _Bins, limit: Ints, most: int, frozen: int, times: tuple[float, float]
) -> "np.ndarray[tuple[int, int, int], np.dtype[np.unsignedinteger[Any]]]":
    """The best next number of replicas, less one, for each bin, work left over and present number."""
    start, size = times
    ladder: Floats = np.arange(1, most + 1, dtype=np.float64) * start
    top = int(min(limit.max(initial=0), 60 * most * LEVELS)) + 1
    numbers = np.arange(1, most + 1)
    left = np.arange(top + 1)
    count = len(bins.arrived)
    value = np.zeros((top + 1, most))
    choices = np.zeros((count, top + 1, most), np.uint8 if most < 256 else np.uint16)
    for t in range(count - 1, -1, -1):
        after = np.maximum(left[:, None] + bins.arrived[t] - numbers * LEVELS, 0)
        bad = (after > limit[t]) | (numbers < bins.floor[t])
        run = np.where(bad, 1e9, 0.0) + numbers * size
        run += value[np.minimum(after, top), np.arange(most)]
        if t < frozen:
            value, choices[t] = run, np.arange(most)
            continue
        value, choices[t] = _moved(run, ladder)
    return choices


def _moved(run: Floats, ladder: Floats) -> tuple[Floats, Ints]:
    """The least over all next numbers, going up paying the ladder's difference, going down nothing."""
    rows, most = run.shape
    down, down_at = np.empty_like(run), np.empty(run.shape, np.int64)
    up, up_at = np.empty_like(run), np.empty(run.shape, np.int64)
    raised = run + ladder
    best, at = run[:, 0].copy(), np.zeros(rows, np.int64)
    for n in range(most):
        better = run[:, n] < best
        best, at = np.where(better, run[:, n], best), np.where(better, n, at)
        down[:, n], down_at[:, n] = best, at
    best, at = raised[:, -1].copy(), np.full(rows, most - 1, np.int64)
    for n in range(most - 1, -1, -1):
        better = raised[:, n] <= best
        best, at = np.where(better, raised[:, n], best), np.where(better, n, at)
        up[:, n], up_at[:, n] = best - ladder[n], at
    use = down < up
    return np.where(use, down, up), np.where(use, down_at, up_at)
