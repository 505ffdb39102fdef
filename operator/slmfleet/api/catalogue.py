"""The built-in accelerators: data that AcceleratorClass objects override by name.

Throughput is dense: NVIDIA's data sheets print Tensor Core numbers with 2:4 sparsity, twice what a model without pruned
weights reaches. Where a sheet has both accumulations, FP32's is taken, which is what vLLM's kernels use. Bandwidth is
10^9 bytes per second. Memory is what the driver reports (nvidia-smi's memory.total, sysfs mem_info_vram_total): ECC and
firmware take their share, so it differs from the box in both directions.

No prices: they change, and a wrong one would be believed. No GPU counts where machines differ.
"""

from typing import Final, NamedTuple

from .accelerator import AcceleratorClassSpec, NodeTerm
from .labels import LabelRequirement
from .pod import Toleration


class Entry(NamedTuple):
    """One accelerator and the documents that its numbers come from."""

    name: str
    spec: AcceleratorClassSpec
    source: str


# GPU feature discovery, part of NVIDIA's GPU operator: the product name with dashes. Time-sliced and MIG devices carry
# a suffix (-SHARED, -MIG-1g.10gb) and are left out on purpose: they are not the whole GPU that the numbers describe.
_GFD: Final = "nvidia.com/gpu.product"
_GKE: Final = "cloud.google.com/gke-accelerator"
# AMD's node labeller. Virtual functions, which clouds hand out, have no product name: the device id tells them.
_AMD_PRODUCT: Final = "amd.com/gpu.product-name"
_AMD_DEVICE: Final = "amd.com/gpu.device-id"


def _any_of(**labels: tuple[str, ...]) -> list[NodeTerm]:
    keys = {"gfd": _GFD, "gke": _GKE, "amd_product": _AMD_PRODUCT, "amd_device": _AMD_DEVICE}
    return [
        NodeTerm(match_expressions=[LabelRequirement(key=keys[label], operator="In", values=list(values))])
        for label, values in labels.items()
    ]


def _taint(key: str) -> list[Toleration]:
    return [Toleration(key=key, operator="Exists", effect="NoSchedule")]


def _cuda(
    memory_mib: int,
    gbps: int,
    fp16: int,
    fp8: int | None,
    capability: str,
    nodes: list[NodeTerm],
    *,
    board: int | None = None,
) -> AcceleratorClassSpec:
    return AcceleratorClassSpec(
        platform="cuda",
        memory=f"{memory_mib}Mi",
        memory_bandwidth_gbps=gbps,
        fp16_tflops=fp16,
        fp8_tflops=fp8,
        compute_capability=capability,
        resource_name="nvidia.com/gpu",
        gpus_per_node=board,
        node_terms=nodes,
        tolerations=_taint("nvidia.com/gpu"),
    )


ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "nvidia-t4",
        _cuda(15360, 320, 65, None, "7.5", _any_of(gfd=("Tesla-T4",), gke=("nvidia-tesla-t4",))),
        "NVIDIA T4 data sheet, 2019",
    ),
    Entry(
        "nvidia-l4",
        # The sheet prints 242 and 485 with sparsity.
        _cuda(23034, 300, 121, 242, "8.9", _any_of(gfd=("NVIDIA-L4",), gke=("nvidia-l4",))),
        "NVIDIA L4 data sheet, 2023",
    ),
    Entry(
        "nvidia-a10",
        _cuda(23028, 600, 125, None, "8.6", _any_of(gfd=("NVIDIA-A10",))),
        "NVIDIA A10 data sheet, 2021: nvidia.com/content/dam/en-zz/Solutions/Data-Center/a10/pdf/a10-datasheet.pdf",
    ),
    Entry(
        "nvidia-a10g",
        # Not an A10: fewer Tensor Cores enabled. Matrix products of 10240^2 reach 69.5 TFLOPS.
        _cuda(23028, 600, 70, None, "8.6", _any_of(gfd=("NVIDIA-A10G",))),
        "NVIDIA A10G data sheet (AWS G5), 2021; baseten.co/blog/nvidia-a10-vs-a10g-for-ml-model-inference; "
        "measured in github.com/zzc0721/torch-performance-test-data/issues/126",
    ),
    Entry(
        "nvidia-l40s",
        _cuda(46068, 864, 362, 733, "8.9", _any_of(gfd=("NVIDIA-L40S",))),
        "NVIDIA L40S data sheet, 2023",
    ),
    Entry(
        "nvidia-a100-40gb",
        # PCIe and SXM have the same memory and the same peaks.
        _cuda(
            40960,
            1555,
            312,
            None,
            "8.0",
            _any_of(gfd=("NVIDIA-A100-SXM4-40GB", "NVIDIA-A100-PCIE-40GB"), gke=("nvidia-tesla-a100",)),
        ),
        "NVIDIA A100 data sheet, 2021",
    ),
    Entry(
        "nvidia-a100-80gb",
        _cuda(
            81920,
            2039,
            312,
            None,
            "8.0",
            _any_of(gfd=("NVIDIA-A100-SXM4-80GB",), gke=("nvidia-a100-80gb",)),
            board=8,
        ),
        "NVIDIA A100 80GB data sheet, 2021, column SXM",
    ),
    Entry(
        "nvidia-a100-80gb-pcie",
        _cuda(81920, 1935, 312, None, "8.0", _any_of(gfd=("NVIDIA-A100-80GB-PCIe",))),
        "NVIDIA A100 80GB data sheet, 2021, column PCIe",
    ),
    Entry(
        "nvidia-h100-sxm",
        _cuda(
            81559,
            3350,
            989,
            1979,
            "9.0",
            _any_of(gfd=("NVIDIA-H100-80GB-HBM3",), gke=("nvidia-h100-80gb", "nvidia-h100-mega-80gb")),
            board=8,
        ),
        "NVIDIA H100 data sheet, 2024, column SXM",
    ),
    Entry(
        "nvidia-h100-pcie",
        _cuda(81559, 2039, 756, 1513, "9.0", _any_of(gfd=("NVIDIA-H100-PCIe",))),
        "NVIDIA H100 data sheet, 2022, column PCIe; NVIDIA H100 PCIe product brief PB-11133",
    ),
    Entry(
        "nvidia-h100-nvl",
        # The sheet prints 1,671 and 3,341 with sparsity: less than the SXM board's 1,979 and 3,958.
        _cuda(95830, 3900, 835, 1670, "9.0", _any_of(gfd=("NVIDIA-H100-NVL",))),
        "NVIDIA H100 data sheet, 2024, column NVL",
    ),
    Entry(
        "nvidia-h200",
        _cuda(143771, 4800, 989, 1979, "9.0", _any_of(gfd=("NVIDIA-H200",), gke=("nvidia-h200-141gb",)), board=8),
        "NVIDIA H200 data sheet, 2024, column SXM",
    ),
    Entry(
        "nvidia-b200",
        # Announced with 192 GB and 8 TB/s; sold with 180 GB on a 7680-bit bus.
        _cuda(183359, 7700, 2250, 4500, "10.0", _any_of(gfd=("NVIDIA-B200",), gke=("nvidia-b200",)), board=8),
        "NVIDIA HGX B200 data sheet, 2025; bus width read from the driver in github.com/pytorch/ao/pull/4002",
    ),
    Entry(
        "nvidia-rtx-3090",
        _cuda(24576, 936, 71, None, "8.6", _any_of(gfd=("NVIDIA-GeForce-RTX-3090",))),
        "NVIDIA Ampere GA102 whitepaper, 2021, FP32 accumulation",
    ),
    Entry(
        "nvidia-rtx-4090",
        _cuda(24564, 1008, 165, 330, "8.9", _any_of(gfd=("NVIDIA-GeForce-RTX-4090",))),
        "NVIDIA Ada GPU architecture whitepaper, 2022, FP32 accumulation",
    ),
    Entry(
        "nvidia-rtx-5090",
        _cuda(32607, 1792, 209, 419, "12.0", _any_of(gfd=("NVIDIA-GeForce-RTX-5090",))),
        "NVIDIA RTX Blackwell GPU architecture whitepaper, 2025, FP32 accumulation",
    ),
    Entry(
        "amd-mi300x",
        AcceleratorClassSpec(
            platform="rocm",
            memory="196592Mi",
            memory_bandwidth_gbps=5300,
            fp16_tflops=1307,
            fp8_tflops=2614,
            resource_name="amd.com/gpu",
            gpus_per_node=8,
            # 74a1 is the board, 74b5 its virtual function.
            node_terms=_any_of(amd_product=("AMD_Instinct_MI300X_OAM",), amd_device=("74a1", "74b5")),
            tolerations=_taint("amd.com/gpu"),
        ),
        "AMD Instinct MI300X data sheet, 2023; labels: github.com/ROCm/gpu-operator/issues/266",
    ),
    Entry(
        "cpu",
        # What a small node has. Bandwidth and throughput differ too much between machines to have a default.
        AcceleratorClassSpec(platform="cpu", memory="16Gi"),
        "none: describe your nodes in an AcceleratorClass named cpu",
    ),
)

_BY_NAME: Final = {entry.name: entry.spec for entry in ENTRIES}

NAMES: Final[tuple[str, ...]] = tuple(_BY_NAME)


def builtin(name: str) -> AcceleratorClassSpec | None:
    """The built-in accelerator of that name, or None."""
    return _BY_NAME.get(name)
