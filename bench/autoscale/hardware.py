"""The GPUs that the comparison runs on: step times of an 8B model in bf16, KV cache, price, objectives.

Step times and their sources are in operator/slmfleet/engine/steptime.json; those of L4 and A10G are estimates. What is
compared are decisions on the same engine; it needs to be of the right kind rather than exact. Prices are on-demand list
prices in USD per GPU-hour (AWS g6.xlarge, g5.xlarge, p4de.24xlarge / 8, p5.48xlarge / 8, us-east-1, 2025).
"""

from dataclasses import dataclass
from typing import Final

from slmfleet.engine import steptime
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


def _gpu(name: str, kv: int, usd: float, goals: tuple[float, float]) -> Gpu:
    return Gpu(name, steptime.named(f"{name}-8B"), kv // BLOCK * BLOCK, usd, *goals)


GPUS: Final = {
    gpu.name: gpu
    for gpu in (
        _gpu("L4", 30_000, 0.8048, (5.0, 0.15)),
        _gpu("A10G", 28_000, 1.006, (5.0, 0.15)),
        _gpu("A100-80", 467_000, 5.12, (2.0, 0.06)),
        _gpu("H100", 467_000, 6.88, (2.0, 0.05)),
    )
}


def roomy(prompt: float, total: float) -> Gpu:
    """The smallest that prefills a prompt in half its objective and whose cache holds two such requests, in tokens."""
    fits = (gpu for gpu in GPUS.values() if gpu.step.p * prompt <= gpu.ttft / 2 and 2 * total <= gpu.kv_tokens)
    return next(fits, GPUS["H100"])


def named(name: str) -> Gpu:
    """A GPU by its name, whatever the case. Raises ValueError with the names there are."""
    for known, gpu in GPUS.items():
        if known.lower() == name.lower() or known.split("-")[0].lower() == name.lower():
            return gpu
    raise ValueError(f"--gpu {name}: no such GPU here; there are {', '.join(GPUS)}")
