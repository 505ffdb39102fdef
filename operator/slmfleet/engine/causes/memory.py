"""Memory that does not suffice: the accelerator's, the node's, or what vLLM may take of either."""

from typing import Final

from .cause import Row, rows

ROWS: Final[tuple[Row, ...]] = rows(
    (
        r"User-specified max_model_len \(\d+\) is greater than the derived max_model_len[^\n]*?"
        r"(?=\.? (?:VLLM_ALLOW|To allow)|$)",
        "lower spec.engine.maxModelLen to what the model supports, or leave it out",
    ),
    (
        r"To serve at least one request with the model's max seq len \(\d+\)[^\n]*?(?=\. Try increasing|$)",
        "lower spec.engine.maxModelLen, raise spec.engine.gpuMemoryUtilizationPercent or spec.engine.kvCacheMemory, or "
        "use a larger accelerator",
    ),
    (
        r"No available memory for the cache blocks[^\n.]*",
        "the weights fill the accelerator: raise spec.parallelism.tensor, quantize, or use a larger accelerator",
    ),
    (
        r"Available memory on node \d+ \([^\n]*? is less than requested memory for kv \([^\n]*?\)",
        "raise spec.pod.resources.limits.memory, or lower spec.engine.kvCacheMemory",
    ),
    (
        r"Free memory on device[^\n]*? is less than desired GPU memory utilization[^\n.]*",
        "something else uses this GPU; wait for it to end, or lower spec.engine.gpuMemoryUtilizationPercent",
    ),
    (
        r"Error in memory profiling\. [^\n]*?(?= To fix|$)",
        "something else uses this GPU and ended just now: the next start will do; give each engine GPUs of its own",
    ),
    (
        r"(?:torch\.)?(?:cuda\.)?OutOfMemoryError: [^\n]+|CUDA out of memory\.[^\n]*|HIP out of memory\.[^\n]*",
        "lower spec.engine.maxNumSeqs or spec.engine.maxModelLen, raise spec.parallelism.tensor, or use a larger "
        "accelerator",
    ),
    (
        r"Failed core proc\(s\): \{[^\n}]*: -9[,}]|Worker proc \S+ died unexpectedly \(exit code: -9\)",
        "a process of the engine was killed, most often by the kernel for want of memory: raise "
        "spec.pod.resources.limits.memory",
    ),
)
