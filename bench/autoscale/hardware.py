"""The GPUs that the comparison runs on: step times of an 8B model in bf16, KV cache, price, objectives.

Step times: a, p, d of H100 and A100-80 from BLIS's defaults.yaml (vLLM 0.8.4) and from fits to Vidur's kernels, kappa
from the bandwidth at 128 KiB of KV cache per token; L4 and A10G are estimates from bandwidth (300 and 600 GB/s at 80 %)
and peak FLOPS: no measurement of theirs was found that could be trusted. What is compared are decisions on the same
engine; it needs to be of the right kind rather than exact. Prices are on-demand list prices in USD per GPU-hour
(AWS g6.xlarge, g5.xlarge, p4de.24xlarge / 8, p5.48xlarge / 8, us-east-1, 2025).
"""

from dataclasses import dataclass
from typing import Final

from slmfleet.engine.steptime import StepTime

BLOCK: Final = 16
MAX_NUM_SEQS: Final = 256
BATCHED_TOKENS: Final = 2048


@dataclass(frozen=True, slots=True)
class Gpu:
    """One engine on one GPU, and what its users expect of it."""

    name: str
    step: StepTime
    kv_tokens: int
    usd_per_hour: float
    ttft: float
    """Objective, seconds."""
    itl: float
    """Objective, seconds."""


def _gpu(name: str, micros: tuple[float, float, float, float], kv: int, usd: float, goals: tuple[float, float]) -> Gpu:
    a, p, d, kappa = (value * 1e-6 for value in micros)
    return Gpu(name, StepTime(a, p, d, kappa), kv // BLOCK * BLOCK, usd, *goals)


GPUS: Final = {
    gpu.name: gpu
    for gpu in (
        _gpu("L4", (67_000, 260, 75, 0.55), 30_000, 0.8048, (5.0, 0.15)),
        _gpu("A10G", (33_000, 330, 75, 0.27), 28_000, 1.006, (5.0, 0.15)),
        _gpu("A100-80", (9_300, 66, 44, 0.080), 467_000, 5.12, (2.0, 0.06)),
        _gpu("H100", (5_750, 17.3, 6, 0.049), 467_000, 6.88, (2.0, 0.05)),
    )
}


def named(name: str) -> Gpu:
    """A GPU by its name, whatever the case. Raises ValueError with the names there are."""
    for known, gpu in GPUS.items():
        if known.lower() == name.lower() or known.split("-")[0].lower() == name.lower():
            return gpu
    raise ValueError(f"--gpu {name}: no such GPU here; there are {', '.join(GPUS)}")
