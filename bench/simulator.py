"""How fast the fleet simulator is: `PYTHONPATH=operator python -m bench.simulator [--write]`.

Requests per minute of CPU time, compilation left out. The cases: fleets that scale every 15 s and are looked at every
second, as in the comparison of autoscalers; a static fleet alone; and what costs most: full batches of 256 in a full KV
cache, long prompts in many chunks that are found in a prefix cache of small blocks, and every step on its own.
--write keeps the result in bench/results/simulator.json.
"""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from bench.autoscale.fleet import Fleet, Requests, Settings
from bench.machine import described, tell
from slmfleet.simulator.records import EngineModel

RESULT: Final = Path(__file__).parent / "results" / "simulator.json"
L4: Final = EngineModel(num_blocks=1875, a=0.067, p=260e-6, d=75e-6, kappa=0.55e-6)
A100: Final = EngineModel(num_blocks=29_187, a=0.0093, p=66e-6, d=44e-6, kappa=0.08e-6)


def made(count: int, rate: float, prompt: float, output: float) -> Requests:
    """Poisson arrivals whose rate goes up and down by half every hour; lognormal lengths with these medians."""
    random = np.random.default_rng(1)
    even = np.cumsum(random.exponential(1 / rate, count))
    arrival = even + 0.5 * 3600 / (2 * math.pi) * np.sin(2 * math.pi * even / 3600)
    prompts, outputs = (np.clip(random.lognormal(np.log(median), 0.8, count), 1, 20_000) for median in (prompt, output))
    return Requests(arrival, prompts.astype(np.int64), outputs.astype(np.int64))


def with_prefixes(requests: Requests, texts: int, tokens: int) -> Requests:
    """The same, as beginnings of a few texts."""
    blocks = requests.prompt // tokens
    text = np.random.default_rng(2).integers(0, texts, len(requests))
    hashes = np.concatenate([10_000 * int(t) + np.arange(n) for t, n in zip(text, blocks, strict=True)])
    return replace(requests, hashes=hashes, hashes_end=np.cumsum(blocks), hash_tokens=tokens)


def static(requests: Requests, engine: EngineModel, settings: Settings) -> Fleet:
    """Run to the end."""
    fleet = Fleet(requests, engine, settings)
    fleet.advance(1e9)
    return fleet


def scaled(requests: Requests, engine: EngineModel, settings: Settings) -> Fleet:
    """Run with a look every second, and as many replicas every 15 s as the requests in flight ask for."""
    fleet = Fleet(requests, engine, settings)
    while not fleet.done:
        fleet.advance(fleet.now + 1)
        look = fleet.look(1.0)
        if fleet.now % 15 == 0:
            fleet.scale(max(1, math.ceil(look.in_flight / 12)))
    return fleet


def cases() -> dict[str, Callable[[], tuple[int, Fleet]]]:
    """Each gives how many requests it ran, and the fleet."""
    chat = made(200_000, 20.0, 800, 150)
    small = made(20_000, 5.0, 800, 150)
    full = made(100_000, 120.0, 300, 300)
    long = with_prefixes(made(50_000, 3.0, 9000, 200), 40, 16)

    def case(
        run: Callable[..., Fleet], requests: Requests, engine: EngineModel, **settings: object
    ) -> Callable[[], tuple[int, Fleet]]:
        given = replace(Settings(ttft_objective=5.0, itl_objective=0.15), **settings)  # type: ignore[arg-type]
        return lambda: (len(requests), run(requests, engine, given))

    return {
        "autoscaled, gateway": case(scaled, chat, L4, router="late", replicas=40, quota=120),
        "autoscaled, least loaded": case(scaled, chat, L4, replicas=40, quota=120),
        "static": case(static, chat, L4, replicas=60, quota=60),
        "static, overloaded, full KV cache": case(static, full, A100, router="late", replicas=8, quota=8),
        "static, long prompts, prefix cache": case(static, long, replace(A100, prefix_blocks=1), replicas=6, quota=6),
        "static, step by step": case(static, small, L4, replicas=14, quota=14, event_skipping=False),
    }


def measured(run: Callable[[], tuple[int, Fleet]]) -> dict[str, float]:
    began = time.process_time()
    count, fleet = run()
    seconds = time.process_time() - began
    results = fleet.results()
    return {
        "requests": count,
        "simulated_hours": round(float(results.finish.max()) / 3600, 2),
        "engine_steps": results.steps,
        "cpu_seconds": round(seconds, 3),
        "requests_per_cpu_minute": round(count / seconds * 60),
    }


def main() -> int:
    static(made(10, 1.0, 100, 10), L4, Settings()).look()  # compiled here, or read from the cache
    results = {name: measured(run) for name, run in cases().items()}
    result = {"command": "PYTHONPATH=operator python -m bench.simulator --write", **described(), "results": results}
    tell(result, RESULT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
