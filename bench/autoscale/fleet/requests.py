"""What goes into a simulated fleet and what comes out of it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests in the order of their arrival: one element each."""

    arrival: Floats
    """Seconds from the start, ascending."""
    prompt: Ints
    """Tokens, at least 1."""
    output: Ints
    """Tokens that it generates, at least 1."""
    hashes: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Hashes of the prompts' leading blocks, one request's after the other's: equal hashes at the same place are a
    common prefix. Empty: no prefix is shared."""
    hashes_end: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Where each request's hashes end in `hashes` (they start where the ones before end). Empty with `hashes`."""
    hash_tokens: int = 512
    """Tokens per hash; a multiple of the engine's block size."""

    def __len__(self) -> int:
        return len(self.arrival)


@dataclass(frozen=True, slots=True)
class Results:
    """What a run brought. Arrays per request have one element each, in the order of Requests."""

    ttft: Floats
    """Seconds from the arrival to the first token; inf where none came (yet)."""
    finish: Floats
    """Simulated second of the last token; inf where it did not come (yet)."""
    tpot: Floats
    """Mean seconds per token after the first; 0 for an output of one token, inf where unfinished."""
    failed: Bools
    """Cut off: its pod was taken away under it."""
    cached: Ints
    """Prompt tokens found in the prefix cache."""
    preemptions: int
    steps: int
    """Engine steps, of all pods."""
    pods: Floats
    """One row per pod that got a GPU: the seconds at which it got it, was ready and was gone; inf where not yet."""
    at: Floats
    """When each look was taken; the arrays below belong to it."""
    asked: Ints
    """Replicas that were asked for."""
    ready: Ints
    gpus: Ints
    """Pods that hold a GPU: booting, ready or draining."""

    def gpu_seconds(self, since: float, until: float) -> float:
        """GPU time between two seconds, boot and drain included."""
        held = np.minimum(self.pods[:, 2], until) - np.maximum(self.pods[:, 0], since)
        return float(np.sum(np.maximum(held, 0.0)))
