"""A first guess at an engine's step time from an accelerator's data sheet, for as long as nothing has been measured.

    a     = weights / (.8 * bandwidth) + 2 ms of the host's
    p     = 2 * parameters / (.75 * peak FLOPS)
    d     = p / 2
    kappa = KV-cache bytes per token / (.8 * bandwidth)

A step reads all weights once (a), computes two operations per parameter and token (p), and reads the KV cache of the
sequences that it works on (kappa). The shares of the peaks are what the rows of steptime.json reach; d is what they
show: a decoded token costs about half as much as one of a prompt, since most of it hides behind the reading of the
weights. The host's share is the difference between steps of whole engines and the sums of their kernels.
docs/simulator.md has the errors.
"""

from typing import Final

from slmfleet.api.accelerator import AcceleratorClassSpec

from .steptime import StepTime

MEMORY_SHARE: Final = 0.8
COMPUTE_SHARE: Final = 0.75
HOST_SECONDS: Final = 0.002
SEQUENCE_SHARE: Final = 0.5
TYPICAL_KV_BYTES: Final = 131_072
"""Per token: 32 layers, 8 KV heads of 128, two bytes."""


def prior(
    accelerator: AcceleratorClassSpec,
    parameters: float,
    *,
    weight_bytes: float = 2.0,
    kv_bytes_per_token: float = TYPICAL_KV_BYTES,
    gpus: int = 1,
) -> StepTime | None:
    """The guess for a model of so many parameters (for a mixture of experts: those that a token uses).

    `weight_bytes` is per parameter; the work is split over `gpus`, and what they tell each other costs nothing. None
    where the accelerator's bandwidth or throughput is unknown.
    """
    if accelerator.memory_bandwidth_gbps is None or accelerator.fp16_tflops is None:
        return None
    bytes_per_second = MEMORY_SHARE * accelerator.memory_bandwidth_gbps * 1e9 * gpus
    p = 2 * parameters / (COMPUTE_SHARE * accelerator.fp16_tflops * 1e12 * gpus)
    return StepTime(
        a=parameters * weight_bytes / bytes_per_second + HOST_SECONDS,
        p=p,
        d=SEQUENCE_SHARE * p,
        kappa=kv_bytes_per_token / bytes_per_second,
    )
