"""What a run depends on, as keys: while they stay the same, its row stays true."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np

from bench.autoscale import cases
from bench.autoscale.cases import FAULTS, Case
from bench.autoscale.fleet import CrashLoop, Fleet, Quota, Requests, ScrapeOutage, Settings, SlowStart
from bench.autoscale.fleet.settings import Router
from bench.autoscale.hardware import GPUS
from bench.autoscale.run import engine
from bench.autoscale.workload import Workload

ROOT: Final = Path(__file__).parents[2]


def digest(*parts: object) -> str:
    """Of anything whose repr says all."""
    return sha256(repr(parts).encode()).hexdigest()[:24]


def of_case(case: Case) -> str:
    """Workload, setting, faults, and how runs are made."""
    faults = FAULTS[case.fault](10) if case.fault else ()
    return digest(workload(case.workload, case.seed), case.setting(), faults, runs(), behaviour())


@lru_cache(maxsize=64)
def workload(name: str, seed: int) -> str:
    """A workload's requests."""
    made = cases.workload(name, seed)
    hashed = sha256(repr((made.name, made.duration, made.steps, made.block_tokens)).encode())
    for array in (made.arrival, made.prompt, made.output, made.blocks):
        hashed.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()


@lru_cache(maxsize=1)
def runs() -> str:
    """How runs are made, measured and bounded."""
    return _sources(ROOT / "bench/autoscale" / f"{name}.py" for name in ("run", "oracle", "oracles", "policy"))


@lru_cache(maxsize=1)
def policies() -> str:
    """The baselines."""
    return _sources((ROOT / "bench/autoscale/policies").glob("*.py"))


@lru_cache(maxsize=1)
def ours() -> str:
    """The product's scaler."""
    return _sources([ROOT / "bench/autoscale/ours.py", *(ROOT / "operator/slmfleet/core/autoscale").glob("*.py")])


def _sources(paths: Iterable[Path]) -> str:
    hashed = sha256()
    for path in sorted(paths):
        hashed.update(path.name.encode() + path.read_bytes())
    return hashed.hexdigest()


@lru_cache(maxsize=1)
def behaviour() -> str:
    """What the simulated fleet does with a small workload: its sources may change as long as this does not."""
    return digest(*(_trial(router) for router in ("early", "late")))


def _trial(router: Router) -> str:
    rng = np.random.default_rng(7)
    arrival = np.sort(rng.uniform(0, 600, 2400))
    prompt, output = rng.integers(10, 3000, 2400), rng.integers(1, 600, 2400)
    load = Workload("trial", arrival, prompt, output, 600.0)
    faults = (ScrapeOutage(100, 200, 0.5), Quota(300, 400, 6), CrashLoop(0, 250, 1), SlowStart(400, 500, 2.0))
    settings = Settings(router=router, replicas=3, quota=10, start_p50=30, start_p90=60, faults=faults)
    blocks = rng.integers(0, 40, 2 * 2400)
    requests = Requests(arrival, prompt, output, blocks, np.arange(2, 2 * 2400 + 1, 2), hash_tokens=16)
    fleet = Fleet(requests, replace(engine(GPUS["L4"], load), prefix_blocks=1), settings, seed=3)
    seen = sha256()
    for now in range(1, 900):
        fleet.advance(now)
        look = fleet.look(1.0)
        s = look.signals
        shown = (s.running, s.waiting, round(s.kv_tokens), s.ready, s.first_tokens, s.generated_tokens, s.late_tokens)
        seen.update(repr(shown).encode())
        if now % 60 == 0:
            fleet.scale(2 + (now // 60 * 5) % 9)
    results = fleet.results()
    for array in (results.ttft, results.finish, results.tpot, results.pods):
        seen.update(np.round(array, 6).tobytes())
    return seen.hexdigest()
