"""vLLM V1's scheduler as a model: what an engine is, on whatever clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineModel:
    """One engine: its scheduler's limits, its KV cache, its speed."""

    num_blocks: int
    """KV-cache blocks."""
    a: float
    p: float
    d: float
    kappa: float
    """Step seconds = a + p * prefill tokens + d * sequences + kappa * KV tokens (engine/steptime.py)."""
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    """At least max_num_seqs, as vLLM demands."""
    block_size: int = 16
    """Tokens per block."""
    reserve_full_prompt: bool = True
    """A request is admitted only if its whole prompt fits the free blocks (vLLM >= 0.19), not its first chunk."""
    prefix_blocks: int = 0
    """Blocks that one hash of a prompt stands for; 0 switches prefix caching off."""
