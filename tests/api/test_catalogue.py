"""The built-in accelerators: nothing missing, nothing out of its order of magnitude, nothing twice."""

import re

import pytest

from slmfleet.api import catalogue
from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.catalogue import Entry

GPUS = [entry for entry in catalogue.ENTRIES if entry.spec.platform != "cpu"]
gpus = pytest.mark.parametrize("entry", GPUS, ids=lambda entry: entry.name)


def mib(spec: AcceleratorClassSpec) -> int:
    match = re.fullmatch(r"(\d+)Mi", spec.memory)
    assert match
    return int(match[1])


def test_the_accelerators_that_the_guides_name_are_there() -> None:
    wanted = {"nvidia-t4", "nvidia-l4", "nvidia-a10g", "nvidia-l40s", "nvidia-a100-40gb", "nvidia-a100-80gb"}
    wanted |= {"nvidia-h100-sxm", "nvidia-h100-nvl", "nvidia-h200", "nvidia-b200", "nvidia-rtx-4090", "amd-mi300x"}
    assert wanted | {"cpu"} <= set(catalogue.NAMES)


def test_names_are_unique() -> None:
    assert len(catalogue.NAMES) == len(catalogue.ENTRIES)


def test_an_unknown_name_is_none() -> None:
    assert catalogue.builtin("nvidia-h1000") is None


def test_a_known_name_is_its_spec() -> None:
    spec = catalogue.builtin("nvidia-l4")
    assert spec is not None
    assert (spec.memory, spec.compute_capability) == ("23034Mi", "8.9")


def test_a_cpu_asks_for_no_gpu() -> None:
    spec = catalogue.builtin("cpu")
    assert spec is not None
    assert (spec.resource_name, spec.node_terms, spec.tolerations) == (None, None, None)


@pytest.mark.parametrize("entry", catalogue.ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_would_be_accepted_as_an_object(entry: Entry) -> None:
    assert AcceleratorClassSpec.model_validate(entry.spec.to_manifest()) == entry.spec


@pytest.mark.parametrize("entry", catalogue.ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_has_a_source_and_no_price(entry: Entry) -> None:
    assert entry.source
    assert entry.spec.cost_per_hour is None


@gpus
def test_memory_is_the_drivers_number_and_not_the_boxs(entry: Entry) -> None:
    sizes = re.findall(r"-(\d+)gb", entry.name)
    gib = mib(entry.spec) / 1024
    assert 14 < gib < 300
    for size in sizes:
        assert int(size) * 0.95 <= gib <= int(size)


@gpus
def test_fp8_is_twice_fp16_and_only_where_the_gpu_has_it(entry: Entry) -> None:
    spec = entry.spec
    assert spec.fp16_tflops
    if spec.fp8_tflops:
        assert 1.9 < spec.fp8_tflops / spec.fp16_tflops < 2.1
    if spec.platform == "cuda":
        assert spec.compute_capability
        has_fp8 = float(spec.compute_capability) >= 8.9
        assert (spec.fp8_tflops is not None) == has_fp8


@gpus
def test_a_byte_from_memory_feeds_a_plausible_number_of_operations(entry: Entry) -> None:
    """FLOP per byte of FP16 inference: a number with sparsity or a wrong unit falls out of this range."""
    spec = entry.spec
    assert spec.fp16_tflops
    assert spec.memory_bandwidth_gbps
    assert 70 < spec.fp16_tflops * 1000 / spec.memory_bandwidth_gbps < 450


@gpus
def test_pods_tolerate_the_taint_that_is_named_after_the_resource(entry: Entry) -> None:
    (toleration,) = entry.spec.tolerations or []
    assert toleration.key == entry.spec.resource_name
    assert (toleration.operator, toleration.effect) == ("Exists", "NoSchedule")


def test_no_node_belongs_to_two_accelerators() -> None:
    seen: dict[tuple[str, str], str] = {}
    for entry in GPUS:
        for term in entry.spec.node_terms or ():
            (need,) = term.match_expressions
            assert need.operator == "In"
            for value in need.values or ():
                assert seen.setdefault((need.key, value), entry.name) == entry.name


@gpus
def test_every_gpu_can_be_found(entry: Entry) -> None:
    assert entry.spec.node_terms
