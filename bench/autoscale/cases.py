"""What the comparison runs: workloads, start times, routers, faults."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Final, Literal

from bench.autoscale import stresses, traces
from bench.autoscale.fleet.faults import CrashLoop, Fault, Quota, ScrapeOutage, SlowStart
from bench.autoscale.fleet.settings import Router
from bench.autoscale.hardware import GPUS
from bench.autoscale.run import Setting
from bench.autoscale.workload import Workload, bounded, scaled, window

DATA: Final = Path(__file__).parent / "data"
STARTS: Final[Mapping[str, tuple[float, float]]] = {"slow": (110, 180), "mid": (52, 70), "fast": (3, 4)}
"""Median and 90th percentile of seconds: a warm node's pod; cached compilation; waking a sleeping engine."""
MINUTE: Final = 60.0

Group = Literal["grid", "train", "seeds", "start", "fault"]
"""grid: every point of every family. Else defaults, tuned points and ours."""


def conv() -> Workload:
    """Azure's conversations."""
    return traces.azure(DATA / "azure2023_conv.csv.gz")


def code() -> Workload:
    """Azure's code completions: bursts."""
    return traces.azure(DATA / "azure2023_code.csv.gz")


def with_lengths_of(load: Workload, lengths: Workload, seed: int) -> Workload:
    """The arrivals of one, the lengths of the other: ServeGen's m-small lacks those of its largest clients."""
    drawn = stresses.poisson("lengths", lambda t: t * 0 + 1.5 * len(load) / 1e4, 1e4, lengths, seed)
    return replace(load, prompt=drawn.prompt[: len(load)], output=drawn.output[: len(load)], sampled=True)


def small(seed: int, start_hour: float, hours: float, scale: float) -> Workload:
    """ServeGen m-small's rates with the lengths of Azure's conversations."""
    load = traces.read(
        DATA / "m-small_client_rates.csv.gz", "servegen", scale=scale, start_hour=start_hour, hours=hours, seed=seed
    )
    return with_lengths_of(load, conv(), seed)


def reasoning(seed: int, start_hour: float, hours: float, scale: float) -> Workload:
    """ServeGen deepseek-r1: rates and lengths of all its clients."""
    path = DATA / "deepseek-r1_client_rates.csv.gz"
    return traces.read(path, "servegen", scale=scale, start_hour=start_hour, hours=hours, seed=seed)


def part(load: Workload, start: float, end: float) -> Workload:
    """From one minute to another."""
    return window(load, start * MINUTE, (end - start) * MINUTE)


Made = tuple[str, Callable[[int], Workload]]
WORKLOADS: Final[Mapping[str, Made]] = {
    # name: GPU, and how it is made from a seed
    "conv": ("L4", lambda seed: scaled(conv(), 1.2, seed)),
    "conv-a100": ("A100-80", lambda seed: scaled(conv(), 6.0, seed)),
    "code": ("L4", lambda seed: scaled(code(), 4.0, seed)),
    "code-a10g": ("A10G", lambda seed: scaled(code(), 2.0, seed)),
    "mooncake": ("H100", lambda seed: scaled(traces.mooncake(DATA / "mooncake_synthetic.jsonl.gz"), 6.0, seed)),
    "servegen-small": ("L4", lambda seed: small(seed, 200, 6, 0.0018)),
    "servegen-r1": ("A100-80", lambda seed: reasoning(seed, 11, 12, 0.12)),
    "flat": ("L4", lambda seed: stresses.flat(conv(), 3.5, seed)),
    "step": ("L4", lambda seed: stresses.step(conv(), 1.3, seed)),
    "burst": ("L4", lambda seed: stresses.burst(code(), 1.5, seed)),
    "ramp": ("L4", lambda seed: stresses.ramp(conv(), 1.3, seed)),
    "longer-outputs": ("L4", lambda seed: stresses.length_shift(conv(), 2.5, seed, outputs=3.0)),
    "longer-prompts": ("L4", lambda seed: stresses.length_shift(conv(), 2.5, seed, inputs=3.0)),
    "spikes": ("L4", lambda seed: stresses.spikes(conv(), 1.2, seed)),
    "spiky-12h": ("L4", lambda seed: small(seed, 284, 12, 0.0014)),
    # Tuning looks at these alone.
    "train-conv": ("L4", lambda seed: part(scaled(conv(), 1.2, seed + 50), 0, 24)),
    "train-code": ("L4", lambda seed: part(scaled(code(), 4.0, seed + 50), 0, 24)),
    "train-small": ("L4", lambda seed: small(seed + 50, 20, 2, 0.0018)),
    "train-step": ("L4", lambda seed: stresses.step(conv(), 1.6, seed + 50)),
}
SPIKY: Final = ("spikes", "spiky-12h", "servegen-r1")
"""Windows of 6 to 48 hours with rare high spikes on a low mean."""
TRAINING: Final = tuple(name for name in WORKLOADS if name.startswith("train-"))
SCORED: Final = tuple(name for name in WORKLOADS if name not in TRAINING)
SEEDS: Final = ("servegen-small", "servegen-r1")
"""Semi-synthetic ones from public rates: five seeds."""
HEAVY: Final = ("conv-a100", "servegen-small", "servegen-r1", "spiky-12h")
"""Whose runs take seconds."""
FAULTY: Final = ("ramp", "step")
START_VARIED: Final = ("conv", "code")


@lru_cache(maxsize=2)
def workload(name: str, seed: int) -> Workload:
    """A workload by its name."""
    return replace(bounded(WORKLOADS[name][1](seed)), name=name)


FAULTS: Final[Mapping[str, Callable[[int], tuple[Fault, ...]]]] = {
    # in terms of the static peak; the load rises from minute 20 on (step) or 10 on (ramp)
    "half-unreadable": lambda _: (ScrapeOutage(19 * MINUTE, 31 * MINUTE, 0.5),),
    "all-unreadable": lambda _: (ScrapeOutage(19 * MINUTE, 31 * MINUTE, 1.0),),
    "quota": lambda peak: (Quota(18 * MINUTE, 36 * MINUTE, max(1, peak - 1)),),
    "crash-loop": lambda _: (CrashLoop(19 * MINUTE, 60 * MINUTE, 1),),
    "start-x3": lambda _: (SlowStart(0.0, 1e9, 3.0),),
}


@dataclass(frozen=True)
class Case:
    """One workload in one setting."""

    workload: str
    start: str
    router: Router
    group: Group
    seed: int = 1
    fault: str = ""

    @property
    def name(self) -> str:
        """Unique, and fit for a file's name."""
        parts = [self.workload, self.start, self.router, f"s{self.seed}", self.fault]
        return "_".join(part for part in parts if part)

    def setting(self) -> Setting:
        """Without what only the static peak tells."""
        p50, p90 = STARTS[self.start]
        return Setting(GPUS[WORKLOADS[self.workload][0]], p50, p90, self.router, self.seed)


ROUTERS: Final[tuple[Router, Router]] = ("early", "late")


def training() -> Iterator[Case]:
    """On which the baselines are tuned."""
    for name in TRAINING:
        yield Case(name, "mid", "early", "train")


def scored() -> Iterator[Case]:
    """On which everybody is compared."""
    for name in SCORED:
        yield Case(name, "mid", "early", "grid")
    for name, start in product(START_VARIED, ("slow", "fast")):
        yield Case(name, start, "early", "grid")
    for name in SCORED:
        yield Case(name, "mid", "late", "start")
    for name in SCORED:
        if name not in START_VARIED:
            yield Case(name, "slow", "early", "start")
    for name in SCORED:
        yield Case(name, "slow", "late", "start")
    for name in START_VARIED:
        yield Case(name, "fast", "late", "start")
    for name, fault, router in product(FAULTY, FAULTS, ROUTERS):
        yield Case(name, "mid", router, "fault", fault=fault)
    for name, seed, router in product(SEEDS, range(2, 6), ROUTERS):
        yield Case(name, "mid", router, "seeds", seed)


def smoke() -> Iterator[Case]:
    """A minute's worth."""
    for router in ROUTERS:
        yield Case("step", "mid", router, "start")
    yield Case("step", "mid", "early", "fault", fault="half-unreadable")
