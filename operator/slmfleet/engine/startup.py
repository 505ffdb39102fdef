"""How long an engine may take from its container's start to its first answer.

budget = FIXED + weights / rate, in seconds.

FIXED covers interpreter and CUDA start, torch.compile, graph capture and warm-up: 60 to 110 s were measured for a model
of a few megabytes on two CPU cores, several minutes are common for large models on GPUs. The rates are what a poor
network and a slow disk give, since a budget that is too short kills a load that would have ended well, over and over,
while one that is too long only delays the verdict on a hung start.
"""

import re
from typing import Final

FIXED_SECONDS: Final = 600
DOWNLOAD_GB_PER_SECOND: Final = 0.05
READ_GB_PER_SECOND: Final = 0.2
UNKNOWN_BILLIONS: Final = 32.0
BYTES_PER_PARAMETER: Final = 2
"""BF16; quantized checkpoints are smaller, so the budget errs on the long side."""
MAX_SECONDS: Final = 4 * 3600

# "Qwen3-8B-AWQ", "Llama-3.2-1B", "SmolLM2-135M", "Mixtral-8x7B": the customary size in a checkpoint's name.
_SIZE = re.compile(r"(?<![A-Za-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)([BbMm])(?![A-Za-z0-9])")


def billions_of_parameters(uri: str) -> float | None:
    """The model's size as its path tells it, in 10^9 parameters: the largest size named; None where none is."""
    path = uri.partition("://")[2].partition("/")[2]
    sizes = [
        int(experts or 1) * float(size) * (1 if unit in "Bb" else 0.001) for experts, size, unit in _SIZE.findall(path)
    ]
    return max(sizes, default=None)


def start_budget(uri: str) -> int:
    """Seconds that a replica of the model at `uri` gets to answer its first health check."""
    gigabytes = (billions_of_parameters(uri) or UNKNOWN_BILLIONS) * BYTES_PER_PARAMETER
    rate = DOWNLOAD_GB_PER_SECOND if uri.startswith("hf://") else READ_GB_PER_SECOND
    return min(MAX_SECONDS, round(FIXED_SECONDS + gigabytes / rate))
