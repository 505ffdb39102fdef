"""`spec.engine`: what lies in the accelerators' memory and what in the host's."""

from typing import Final, Literal

from pydantic import ConfigDict, Field

from .base import ApiModel, EngineWord, Quantity, Rule, cel, rule
from .quantities import MIB, size

_SIZE: Final = rule(
    "quantity(self).isGreaterThan(quantity('1Mi'))",
    "is in bytes and must be more than 1Mi, such as 4Gi",
    holds=lambda q: size(q) > MIB,
    message_expression="self + ' is in bytes and must be more than 1Mi, such as 4Gi'",
)


class KVOffload(ApiModel):
    """Host memory that keeps what no longer fits into the KV cache of the GPUs."""

    size: Quantity = Field(
        description="Host memory in bytes for each GPU of a replica, such as 4Gi; it is added to the pod's memory "
        "request.",
        json_schema_extra=cel(_SIZE),
    )
    backend: Literal["Native", "LMCache"] | None = Field(
        None,
        description="What moves the blocks. Default Native, vLLM's own; LMCache needs an image that has it, as "
        "upstream's for CUDA do.",
    )


class CPUOffload(ApiModel):
    """Weights that lie in host memory and are read from there in each step: models larger than the GPU, slowly."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "(has(self.backend) && self.backend == 'Prefetch') == has(self.groupSize)",
                "groupSize goes with backend Prefetch: set both or none",
                holds=lambda o: (o.backend == "Prefetch") == (o.group_size is not None),
            ),
            rule(
                "!has(self.layersPerGroup) || (has(self.groupSize) && self.layersPerGroup <= self.groupSize)",
                "layersPerGroup is a part of groupSize: set it to at most that",
                holds=lambda o: o.layers_per_group is None or o.layers_per_group <= (o.group_size or 0),
                field=".layersPerGroup",
            ),
        )
    )

    size: Quantity = Field(
        description="Weights in bytes per GPU that move to host memory, such as 8Gi; it is added to the pod's memory "
        "request. With backend Prefetch the layers decide what moves, and this is only the memory for it.",
        json_schema_extra=cel(_SIZE),
    )
    backend: Literal["Auto", "UVA", "Prefetch"] | None = Field(
        None,
        description="UVA: the GPU reads them over the bus as it computes. Prefetch: whole layers are copied ahead. "
        "Default Auto.",
    )
    group_size: int | None = Field(
        None, ge=1, le=1024, description="Prefetch: layers of a group, of which the last layersPerGroup move."
    )
    layers_per_group: int | None = Field(
        None, ge=1, le=1024, description="Prefetch: layers of each group that move. Default 1."
    )


class MemoryFields(ApiModel):
    """How the memory is shared out."""

    max_model_len: int | None = Field(
        None,
        ge=1,
        le=10_485_760,
        description="Longest sequence, prompt plus answer, in tokens. Default: the model's own maximum. Lower values "
        "leave more of the KV cache for concurrent requests.",
    )
    kv_cache_dtype: EngineWord | None = Field(
        None,
        description="Number format of the KV cache, in vLLM's words: auto, bfloat16, fp8, fp8_e4m3, fp8_e5m2, ... "
        "Default: the model's. Eight bits hold twice the tokens. Checked against the release.",
    )
    prefix_caching: bool | None = Field(
        None,
        description="Whether requests with the same beginning share its KV cache. Default: on where the model allows "
        "it.",
    )
    gpu_memory_utilization_percent: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Share of each GPU's memory in percent that the engine takes: weights, KV cache and working "
        "memory. Default: the release's (90 to 0.19, 92 since). CPU builds from 0.20 on take it of the node's memory.",
    )
    kv_cache_memory: Quantity | None = Field(
        None,
        description="KV cache in bytes per GPU, such as 12Gi, instead of what gpuMemoryUtilizationPercent leaves; the "
        "start is quicker without the measurement. On cpu it is host memory and added to the pod's request.",
        json_schema_extra=cel(_SIZE),
    )
    kv_offload: KVOffload | None = Field(
        None, description="Host memory that keeps what no longer fits into the KV cache of the GPUs."
    )
    swap_space: Quantity | None = Field(
        None,
        description="Short for kvOffload.size, by the name that vLLM's own flag had until 0.17: bytes of host memory "
        "per GPU.",
        json_schema_extra=cel(_SIZE),
    )
    cpu_offload: CPUOffload | None = Field(
        None, description="Weights that lie in host memory: for models larger than the GPU, at the price of speed."
    )


MEMORY_RULES: Final[tuple[Rule, ...]] = (
    rule(
        "!(has(self.gpuMemoryUtilizationPercent) && has(self.kvCacheMemory))",
        "kvCacheMemory takes the place of gpuMemoryUtilizationPercent: set one of them",
        holds=lambda e: e.gpu_memory_utilization_percent is None or e.kv_cache_memory is None,
    ),
    rule(
        "!(has(self.kvOffload) && has(self.swapSpace))",
        "swapSpace is short for kvOffload.size: set one of them",
        holds=lambda e: e.kv_offload is None or e.swap_space is None,
    ),
)
