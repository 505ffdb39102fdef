"""Small fleets and their loads."""

import numpy as np

from bench.autoscale.fleet import Requests, Settings
from slmfleet.simulator.records import EngineModel

ENGINE = EngineModel(num_blocks=400, a=0.05, p=2e-4, d=1e-4, kappa=2e-6, max_num_seqs=16, max_num_batched_tokens=512)
STATIC = Settings(replicas=3, quota=3, ttft_objective=1.0, itl_objective=0.0600001)


def made(count: int, rate: float, seed: int = 0, prompt: float = 400.0, output: float = 60.0) -> Requests:
    random = np.random.default_rng(seed)
    return Requests(
        np.cumsum(random.exponential(1 / rate, count)),
        np.clip(random.lognormal(np.log(prompt), 0.8, count), 1, 3000).astype(np.int64),
        np.clip(random.lognormal(np.log(output), 0.9, count), 1, 1000).astype(np.int64),
    )
