"""The kind AcceleratorClass: a GPU model, what it can do, what it costs and where its nodes are."""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from .base import ApiModel, ObjectName, Quantity, cel, rule
from .labels import LabelRequirement
from .pod import Toleration
from .quantities import MIB, size

KIND: Final = "AcceleratorClass"
PLURAL: Final = "acceleratorclasses"


class NodeTerm(ApiModel):
    """Requirements that must all hold."""

    match_expressions: list[LabelRequirement] = Field(
        min_length=1, max_length=8, description="Requirements on node labels; all must hold."
    )


class AcceleratorClassSpec(ApiModel):
    """A GPU model: numbers from its vendor's data sheet, and how its nodes are found."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "(self.platform == 'cpu') != has(self.resourceName)",
                "names the GPU resource (nvidia.com/gpu, amd.com/gpu): set it for cuda and rocm, leave it out for cpu",
                holds=lambda a: (a.platform == "cpu") == (a.resource_name is None),
                field=".resourceName",
            )
        )
    )

    platform: Literal["cuda", "rocm", "cpu"] = Field(description="Which build of vLLM runs on it.")
    memory: Quantity = Field(
        description="Memory of one GPU in bytes as the driver reports it, such as 23034Mi; for cpu, of a node.",
        json_schema_extra=cel(
            rule(
                "quantity(self).isGreaterThan(quantity('1Mi'))",
                "is in bytes and must be more than 1Mi, such as 23034Mi",
                holds=lambda q: size(q) > MIB,
                message_expression="self + ' is in bytes and must be more than 1Mi, such as 23034Mi'",
            )
        ),
    )
    memory_bandwidth_gbps: int | None = Field(
        None,
        alias="memoryBandwidthGBps",
        ge=1,
        le=1_000_000,
        description="Peak memory bandwidth of one GPU in GB/s (10^9 bytes).",
    )
    fp16_tflops: int | None = Field(
        None, ge=1, le=1_000_000, description="Peak dense FP16/BF16 throughput of one GPU in TFLOPS, without sparsity."
    )
    fp8_tflops: int | None = Field(
        None, ge=1, le=1_000_000, description="Peak dense FP8 throughput in TFLOPS; absent where the GPU has no FP8."
    )
    compute_capability: Annotated[str, Field(max_length=8, pattern=r"^[0-9]{1,2}\.[0-9]$")] | None = Field(
        None, description="CUDA compute capability, such as 8.9; it decides which quantizations run."
    )
    cost_per_hour: Annotated[str, Field(max_length=16, pattern=r"^[0-9]{1,6}(\.[0-9]{1,4})?$")] | None = Field(
        None,
        description="Price of one GPU in US dollars per hour, as a string such as '0.81'. It has no default: prices "
        "are yours.",
    )
    resource_name: (
        Annotated[str, Field(min_length=3, max_length=316, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")] | None
    ) = Field(None, description="Extended resource that the device plugin advertises, such as nvidia.com/gpu.")
    gpus_per_node: int | None = Field(
        None,
        alias="gpusPerNode",
        ge=1,
        le=64,
        description="GPUs of one node; a replica's tensor parallelism cannot exceed it.",
    )
    node_terms: list[NodeTerm] | None = Field(
        None,
        max_length=8,
        description="Nodes that have this GPU: at least one term must hold. Absent: any node with the resource.",
    )
    tolerations: list[Toleration] | None = Field(
        None, max_length=16, description="Taints of the GPU nodes that the pods tolerate."
    )
    runtime_class_name: ObjectName | None = Field(
        None, description="RuntimeClass of pods that use this GPU, such as nvidia."
    )
