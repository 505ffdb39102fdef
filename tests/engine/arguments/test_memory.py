import json
from typing import Any

import pytest

from slmfleet.api.quantities import GIB
from slmfleet.engine.resolution import HostMemory, Origin
from tests.engine.resolving import adjusted, env, refused, resolved, words


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ({"maxModelLen": 8192}, ["--max-model-len", "8192"]),
        ({"gpuMemoryUtilizationPercent": 90}, ["--gpu-memory-utilization", "0.9"]),
        ({"gpuMemoryUtilizationPercent": 85}, ["--gpu-memory-utilization", "0.85"]),
        ({"gpuMemoryUtilizationPercent": 100}, ["--gpu-memory-utilization", "1"]),
        ({"kvCacheMemory": "12Gi"}, ["--kv-cache-memory-bytes", "12884901888"]),
        ({"kvCacheDtype": "fp8"}, ["--kv-cache-dtype", "fp8"]),
        ({"prefixCaching": True}, ["--enable-prefix-caching"]),
        ({"prefixCaching": False}, ["--no-enable-prefix-caching"]),
        ({"kvOffload": {"size": "4Gi"}}, ["--kv-offloading-size", "4", "--kv-offloading-backend", "native"]),
        ({"cpuOffload": {"size": "8Gi"}}, ["--cpu-offload-gb", "8"]),
        ({"cpuOffload": {"size": "1536Mi"}}, ["--cpu-offload-gb", "1.5"]),
        ({"cpuOffload": {"size": "8Gi", "backend": "UVA"}}, ["--cpu-offload-gb", "8", "--offload-backend", "uva"]),
        ({"cpuOffload": {"size": "8Gi", "backend": "Auto"}}, ["--cpu-offload-gb", "8", "--offload-backend", "auto"]),
        (
            {"cpuOffload": {"size": "8Gi", "backend": "Prefetch", "groupSize": 8, "layersPerGroup": 2}},
            ["--offload-backend", "prefetch", "--offload-group-size", "8", "--offload-num-in-group", "2"],
        ),
    ],
)
def test_a_field_becomes_its_flag(engine: dict[str, Any], expected: list[str]) -> None:
    found = resolved(**engine)
    assert words(found, *engine) == expected
    assert not found.problems
    assert not adjusted(found)


def test_one_gpu_needs_no_tensor_parallelism() -> None:
    assert "--tensor-parallel-size" not in resolved().argv
    assert resolved(tensor=4).argv[2:4] == ["--tensor-parallel-size", "4"]


@pytest.mark.parametrize(
    ("version", "dtype", "told"),
    [
        ("0.19.1", "nvfp4", "(0.20.0 and later know it)"),
        ("0.32.0", "fp7", "did you mean fp8?"),
        ("0.11.0", "fp8_ds_mla", "(0.11.1 and later know it)"),
    ],
)
def test_a_kv_cache_format_of_another_release_is_refused(version: str, dtype: str, told: str) -> None:
    (text,) = refused(resolved(version, kvCacheDtype=dtype))
    assert text.startswith(f"spec.engine.kvCacheDtype: {dtype} is not known to vLLM {version}")
    assert told in text


def test_a_release_with_an_open_list_gets_any_format_and_an_unknown_one_is_doubted() -> None:
    assert not resolved("0.33.0", kvCacheDtype="nvfp4").doubts
    odd = resolved("0.33.0", kvCacheDtype="fp7")
    assert words(odd, "kvCacheDtype") == ["--kv-cache-dtype", "fp7"]
    assert [doubt.field for doubt in odd.doubts] == ["spec.engine.kvCacheDtype"]


def test_an_fp8_cache_on_a_gpu_without_fp8_is_remarked_upon() -> None:
    assert "nvidia-a10g has no FP8 arithmetic" in resolved(on="nvidia-a10g", kvCacheDtype="fp8").remarks[0].text
    assert not resolved(on="nvidia-l4", kvCacheDtype="fp8").remarks


def test_cpu_builds_learn_to_keep_a_cache_of_another_format() -> None:
    old, new = (resolved(version, on="cpu", kvCacheDtype="bfloat16") for version in ("0.14.1", "0.15.0"))
    assert words(old, "kvCacheDtype") == []
    assert "from 0.15.0 on" in adjusted(old)["kvCacheDtype"]
    assert words(new, "kvCacheDtype") == ["--kv-cache-dtype", "bfloat16"]
    assert words(resolved("0.11.0", on="cpu", kvCacheDtype="auto"), "kvCacheDtype") == ["--kv-cache-dtype", "auto"]


def test_cpu_builds_learn_to_keep_an_fp8_cache() -> None:
    old, new = (resolved(version, on="cpu", kvCacheDtype="fp8") for version in ("0.20.2", "0.21.0"))
    assert words(old, "kvCacheDtype") == []
    assert "from 0.21.0 on" in adjusted(old)["kvCacheDtype"]
    assert words(new, "kvCacheDtype") == ["--kv-cache-dtype", "fp8"]
    assert refused(resolved("0.32.0", on="cpu", kvCacheDtype="nvfp4"))


class TestKVOffload:
    """Per GPU in the spec, for all GPUs of a replica in vLLM's flag."""

    OFFLOAD: dict[str, Any] = {"size": "4Gi"}  # noqa: RUF012 - a constant

    def test_the_flag_has_the_sum_over_the_gpus(self) -> None:
        found = resolved(tensor=4, kvOffload=self.OFFLOAD)
        assert words(found, "kvOffload") == ["--kv-offloading-size", "16", "--kv-offloading-backend", "native"]
        (size,) = [a for a in found.arguments if a.words[0] == "--kv-offloading-size"]
        assert (size.origin, size.why) == (Origin.ADJUSTMENT, "4Gi for each of 4 GPUs, in GiB for all of them")

    def test_the_host_memory_is_that_of_the_whole_replica_and_lies_in_shm(self) -> None:
        assert resolved(tensor=4, kvOffload=self.OFFLOAD).host_memory == (
            HostMemory(16 * GIB, "spec.engine.kvOffload", shared=True),
        )

    @pytest.mark.parametrize(
        ("version", "told"),
        [
            ("0.11.0", "(0.11.1 and later have it), and --swap-space does nothing on the V1 engine of vLLM 0.11.0"),
            ("0.11.1", None),
            ("0.17.1", None),
            ("0.18.0", None),
        ],
    )
    def test_an_engine_that_cannot_offload_runs_without(self, version: str, told: str | None) -> None:
        found = resolved(version, kvOffload=self.OFFLOAD)
        assert not found.problems
        assert ("--kv-offloading-size" in found.argv) == (told is None)
        assert told is None or adjusted(found)["kvOffload"].endswith(told)
        assert bool(found.host_memory) == (told is None)

    @pytest.mark.parametrize("version", ["0.11.1", "0.17.1", "0.18.0", "0.33.0"])
    def test_swap_space_is_offloading_by_another_name(self, version: str) -> None:
        found = resolved(version, swapSpace="4Gi")
        assert words(found, "swapSpace") == ["--kv-offloading-size", "4", "--kv-offloading-backend", "native"]
        assert "--swap-space" not in found.argv
        assert adjusted(found)["swapSpace"].startswith("written as --kv-offloading-size")

    def test_cpus_have_nowhere_to_offload_to(self) -> None:
        found = resolved(on="cpu", kvOffload=self.OFFLOAD)
        assert words(found, "kvOffload") == []
        assert "in host memory already" in adjusted(found)["kvOffload"]

    def test_lmcache_is_vllms_own_shorthand_as_long_as_that_runs_in_the_engine(self) -> None:
        found = resolved("0.22.1", kvOffload={"size": "4Gi", "backend": "LMCache"})
        assert words(found, "kvOffload") == ["--kv-offloading-size", "4", "--kv-offloading-backend", "lmcache"]
        assert not found.host_memory[0].shared

    def test_lmcache_without_a_server_is_written_out(self) -> None:
        found = resolved("0.23.0", tensor=2, kvOffload={"size": "4Gi", "backend": "LMCache"})
        flag, config = words(found, "kvOffload")
        assert flag == "--kv-transfer-config"
        assert json.loads(config) == {
            "kv_connector": "LMCacheConnectorV1",
            "kv_role": "kv_both",
            "kv_connector_extra_config": {"lmcache.local_cpu": True, "lmcache.max_local_cpu_size": 4.0},
        }
        assert "a separate LMCache server" in adjusted(found)["kvOffload"]

    def test_a_second_connector_is_refused(self) -> None:
        found = resolved(kvOffload=self.OFFLOAD, extraArgs=["--kv-transfer-config", "{}"])
        assert "so does --kv-transfer-config in extraArgs" in refused(found)[0]


def test_prefetching_is_reading_over_the_bus_before_it_was_there() -> None:
    found = resolved("0.16.0", cpuOffload={"size": "8Gi", "backend": "Prefetch", "groupSize": 8})
    assert words(found, "cpuOffload") == ["--cpu-offload-gb", "8"]
    assert "(0.17.0 and later have it)" in adjusted(found)["cpuOffload.backend"]


def test_before_the_backend_could_be_chosen_there_was_uva_alone() -> None:
    found = resolved("0.16.0", cpuOffload={"size": "8Gi", "backend": "UVA"})
    assert words(found, "cpuOffload") == ["--cpu-offload-gb", "8"]
    assert not adjusted(found)


def test_weights_on_the_host_take_its_memory_for_each_gpu() -> None:
    assert resolved(tensor=2, cpuOffload={"size": "8Gi"}).host_memory == (
        HostMemory(16 * GIB, "spec.engine.cpuOffload.size"),
    )


def test_cpus_have_their_weights_on_the_host() -> None:
    found = resolved(on="cpu", cpuOffload={"size": "8Gi"})
    assert words(found, "cpuOffload") == []
    assert list(adjusted(found)) == ["cpuOffload"]
    assert not found.host_memory


@pytest.mark.parametrize(("version", "by_flag"), [("0.19.1", False), ("0.20.0", True)])
def test_the_kv_cache_of_a_cpu_build_is_sized_by_a_variable_and_later_by_the_flags(version: str, by_flag: bool) -> None:
    share = resolved(version, on="cpu", gpuMemoryUtilizationPercent=50)
    assert ("gpuMemoryUtilizationPercent" in adjusted(share)) != by_flag
    size = resolved(version, on="cpu", model={"uri": "image:///m"}, kvCacheMemory="2560Mi")
    assert words(size, "kvCacheMemory") == (["--kv-cache-memory-bytes", "2684354560"] if by_flag else [])
    assert env(size).get("VLLM_CPU_KVCACHE_SPACE") == (None if by_flag else "2")
    taken = 2560 * 1024**2 if by_flag else 2 * GIB
    assert size.host_memory == (HostMemory(taken, "spec.engine.kvCacheMemory"),)
