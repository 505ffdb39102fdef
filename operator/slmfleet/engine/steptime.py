"""How long one step of a vLLM engine takes, per GPU and model size.

seconds = a + p * prefill tokens + d * sequences + kappa * KV-cache tokens that the step attends to
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepTime:
    """The coefficients of a step's length, all in seconds."""

    a: float
    """Of any step: reading the weights, launching kernels, the scheduler."""
    p: float
    """Per prompt token that the step computes."""
    d: float = 0.0
    """Per sequence that the step works on."""
    kappa: float = 0.0
    """Per token in the KV cache of the sequences that the step works on."""
