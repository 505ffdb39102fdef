"""What lies in the accelerators' memory, and what in the host's."""

import json
from collections.abc import Iterator

from slmfleet.api.engine_memory import CPUOffload
from slmfleet.api.quantities import GIB, size
from slmfleet.engine import facts
from slmfleet.engine.resolution import (
    Adjustment,
    Argument,
    HostMemory,
    Item,
    Origin,
    Problem,
    Remark,
    Request,
    Variable,
)

from .options import ENGINE, absent, option, switch

CPU_SPACE = "VLLM_CPU_KVCACHE_SPACE"


def memory(r: Request) -> Iterator[Item]:
    """Lengths, the KV cache and where it goes when it is full, weights that move to the host."""
    engine = r.engine
    if engine.max_model_len is not None:
        yield from option(r, "--max-model-len", engine.max_model_len, field=f"{ENGINE}.maxModelLen")
    if r.gpus > 1:
        yield from option(r, "--tensor-parallel-size", r.gpus, field="spec.parallelism.tensor")
    yield from _share(r)
    yield from _kv_cache(r)
    if engine.kv_cache_dtype is not None:
        yield from _kv_cache_dtype(r, engine.kv_cache_dtype)
    yield from switch(r, "--enable-prefix-caching", engine.prefix_caching, field=f"{ENGINE}.prefixCaching")
    if engine.kv_offload is not None:
        yield from _kv_offload(r, "kvOffload", engine.kv_offload.size, engine.kv_offload.backend or "Native")
    elif engine.swap_space is not None:
        yield from _kv_offload(r, "swapSpace", engine.swap_space, "Native")
    if engine.cpu_offload is not None:
        yield from _cpu_offload(r, engine.cpu_offload)


def _share(r: Request) -> Iterator[Item]:
    percent, flag = r.engine.gpu_memory_utilization_percent, "--gpu-memory-utilization"
    field = f"{ENGINE}.gpuMemoryUtilizationPercent"
    if percent is None:
        return
    if r.platform == "cpu" and r.version < facts.CPU_MEMORY_SHARE_SINCE:
        why = f"left out: CPU builds take a share of memory from 0.20.0 on, vLLM {r.engine.version} needs kvCacheMemory"
        yield Adjustment(field, flag, why)
        return
    yield from option(r, flag, f"{percent / 100:g}", field=field)


def _kv_cache(r: Request) -> Iterator[Item]:
    wanted, field = r.engine.kv_cache_memory, f"{ENGINE}.kvCacheMemory"
    if wanted is None:
        return
    if r.platform == "cpu" and r.version < facts.CPU_MEMORY_SHARE_SINCE:
        whole = max(1, size(wanted) // GIB)
        yield HostMemory(whole * GIB * r.gpus, field)
        why = f"CPU builds of vLLM {r.engine.version} size the KV cache by this variable, in whole GiB"
        yield Variable(CPU_SPACE, field, why, str(whole))
        yield Adjustment(field, "--kv-cache-memory-bytes", f"{CPU_SPACE}={whole} instead: {why}")
        return
    if r.platform == "cpu":
        yield HostMemory(size(wanted) * r.gpus, field)
    yield from option(r, "--kv-cache-memory-bytes", size(wanted), field=field)


def _kv_cache_dtype(r: Request, dtype: str) -> Iterator[Item]:
    field, flag = f"{ENGINE}.kvCacheDtype", "--kv-cache-dtype"
    eight_bit = dtype.startswith("fp8")
    since = facts.CPU_FP8_CACHE_SINCE if eight_bit else facts.CPU_CACHE_DTYPE_SINCE
    if r.platform == "cpu" and dtype != "auto" and r.version < since:
        why = f"left out: CPU builds of vLLM keep such a KV cache from {since} on (this is {r.engine.version})"
        yield Adjustment(field, flag, why)
        return
    if r.platform == "cpu" and dtype not in facts.CPU_CACHE_DTYPES:
        yield Problem(field, dtype, "is for GPUs", f"use one of {', '.join(sorted(facts.CPU_CACHE_DTYPES))}")
        return
    yield from option(r, flag, dtype, field=field)
    if eight_bit and r.capability is not None and r.capability < facts.FP8_CAPABILITY:
        name = r.spec.accelerator.class_name
        yield Remark(
            field, f"{name} has no FP8 arithmetic: only some of vLLM's attention kernels take such a cache there"
        )


def _kv_offload(r: Request, name: str, wanted: str, backend: str) -> Iterator[Item]:
    """Total over the GPUs of a replica for vLLM, per GPU in the spec (config/vllm.py)."""
    field, flag = f"{ENGINE}.{name}", "--kv-offloading-size"
    if r.platform == "cpu":
        yield Adjustment(field, flag, "left out: on CPUs the KV cache is in host memory already; set kvCacheMemory")
        return
    if r.flags.find(flag) is None:
        why = f"left out: {absent(r, flag)}"
        if r.flags.find("--swap-space") is not None:
            why += f", and {_swap(r)}"
        yield Adjustment(field, flag, why)
        return
    if _other_connector(r):
        reason = "chooses a KV connector, and so does --kv-transfer-config in extraArgs"
        yield Problem(field, wanted, reason, "remove one of them")
        return
    total = size(wanted) * r.gpus
    yield HostMemory(total, field, shared=backend == "Native")
    if backend == "LMCache" and r.version >= facts.LMCACHE_SERVER_SINCE:
        yield from _lmcache_in_process(r, field, size(wanted))
        return
    origin, why = Origin.USER, ""
    if r.gpus > 1:
        origin, why = Origin.ADJUSTMENT, f"{wanted} for each of {r.gpus} GPUs, in GiB for all of them"
    if name == "swapSpace":
        origin = Origin.ADJUSTMENT
        yield Adjustment(field, "--swap-space", f"written as {flag}: {_swap(r)}")
    yield from option(r, flag, _gib(total), field=field, origin=origin, why=why)
    backend_field = field if name == "swapSpace" else f"{field}.backend"
    given = r.engine.kv_offload is not None and r.engine.kv_offload.backend is not None
    yield from option(
        r,
        "--kv-offloading-backend",
        backend.lower(),
        field=backend_field,
        origin=Origin.USER if given else Origin.DEFAULT,
        why="" if given else "vLLM's own",
    )


def _swap(r: Request) -> str:
    if r.flags.find("--swap-space") is None:
        return "--swap-space left vLLM after 0.17.1"
    return f"--swap-space does nothing on the V1 engine of vLLM {r.engine.version}"


def _other_connector(r: Request) -> bool:
    return any((found := r.flags.find(a)) and found.name == "--kv-transfer-config" for a in r.engine.extra_args or ())


def _lmcache_in_process(r: Request, field: str, per_gpu: int) -> Iterator[Item]:
    settings = {"lmcache.local_cpu": True, "lmcache.max_local_cpu_size": float(_gib(per_gpu))}
    config = {"kv_connector": "LMCacheConnectorV1", "kv_role": "kv_both", "kv_connector_extra_config": settings}
    why = f"from 0.23.0 on --kv-offloading-backend lmcache wants a separate LMCache server (this is {r.engine.version})"
    flag = "--kv-transfer-config"
    yield Argument((flag, json.dumps(config)), field, Origin.ADJUSTMENT, f"LMCache inside the engine's process: {why}")
    yield Adjustment(field, flag, f"written as {flag} with LMCacheConnectorV1: {why}")


def _cpu_offload(r: Request, wanted: CPUOffload) -> Iterator[Item]:
    field = f"{ENGINE}.cpuOffload"
    if r.platform == "cpu":
        yield Adjustment(field, "--cpu-offload-gb", "left out: on CPUs the weights are in host memory already")
        return
    yield HostMemory(size(wanted.size) * r.gpus, f"{field}.size")
    backend_flag = "--offload-backend"
    chooses = r.flags.find(backend_flag) is not None
    if wanted.backend == "Prefetch" and chooses:
        yield from option(r, backend_flag, "prefetch", field=f"{field}.backend")
        yield from option(r, "--offload-group-size", wanted.group_size, field=f"{field}.groupSize")
        if wanted.layers_per_group is not None:
            yield from option(r, "--offload-num-in-group", wanted.layers_per_group, field=f"{field}.layersPerGroup")
        return
    yield from option(r, "--cpu-offload-gb", _gib(size(wanted.size)), field=f"{field}.size")
    if wanted.backend == "Prefetch":
        why = f"{absent(r, backend_flag)}: as many bytes are read over the bus instead (UVA)"
        yield Adjustment(f"{field}.backend", backend_flag, why)
    elif wanted.backend is not None and chooses:
        yield from option(r, backend_flag, wanted.backend.lower(), field=f"{field}.backend")


def _gib(amount: int) -> str:
    """GiB as the flags take them, without a needless fraction."""
    return f"{amount / GIB:.6f}".rstrip("0").rstrip(".")
