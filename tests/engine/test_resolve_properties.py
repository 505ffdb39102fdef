"""Whatever the spec, the release and the platform: no flag and no value that the release does not have, and no silence."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slmfleet.api.catalogue import NAMES, builtin
from slmfleet.api.rules import violations
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.engine.facts import SPECULATIVE_METHODS
from slmfleet.engine.flags import FlagTable
from slmfleet.engine.resolution import Argument, Request, Resolution
from slmfleet.engine.resolve import resolve

TABLE = FlagTable.load()
RELEASES = [".".join(map(str, version.release)) for version in TABLE.releases]


def words_of(flag: str) -> list[str]:
    """Every value that any release names for a flag."""
    found = (TABLE.for_version(version).values(flag) for version in TABLE.releases)
    return sorted({str(word) for words in found if words is not None for word in words})


SIZES = st.sampled_from(["512Mi", "1536Mi", "4Gi", "10G"])
URIS = st.sampled_from(["hf://Qwen/Qwen3-0.6B", "pvc://models/draft", "image:///draft"])
ENGINE: dict[str, st.SearchStrategy[Any]] = {
    "quantization": st.sampled_from([*words_of("--quantization"), "gguf", "none-of-them"]),
    "dtype": st.sampled_from(["auto", "half", "float16", "bfloat16", "float", "float32"]),
    "loadFormat": st.sampled_from(words_of("--load-format")),
    "tokenizer": st.fixed_dictionaries({"uri": URIS}),
    "trustRemoteCode": st.booleans(),
    "maxModelLen": st.integers(1, 10_485_760),
    "kvCacheDtype": st.sampled_from([*words_of("--kv-cache-dtype"), "none-of-them"]),
    "prefixCaching": st.booleans(),
    "gpuMemoryUtilizationPercent": st.integers(1, 100),
    "kvCacheMemory": SIZES,
    "kvOffload": st.fixed_dictionaries({"size": SIZES}, optional={"backend": st.sampled_from(["Native", "LMCache"])}),
    "swapSpace": SIZES,
    "cpuOffload": st.one_of(
        st.fixed_dictionaries({"size": SIZES}, optional={"backend": st.sampled_from(["Auto", "UVA"])}),
        st.fixed_dictionaries(
            {"size": SIZES, "backend": st.just("Prefetch"), "groupSize": st.integers(2, 8)},
            optional={"layersPerGroup": st.integers(1, 2)},
        ),
    ),
    "maxNumSeqs": st.integers(1, 65_536),
    "maxNumBatchedTokens": st.integers(1, 16_777_216),
    "chunkedPrefill": st.booleans(),
    "schedulingPolicy": st.sampled_from(["FCFS", "Priority"]),
    "enforceEager": st.booleans(),
    "optimizationLevel": st.integers(0, 3),
    "task": st.sampled_from(["Generate", "Embed", "Classify", "Score", "Reward"]),
    "speculative": st.one_of(
        st.fixed_dictionaries(
            {"model": URIS, "tokens": st.integers(1, 64)},
            optional={
                "method": st.sampled_from(["eagle", "eagle3", "draft_model", "medusa"]),
                "tensor": st.integers(1, 4),
            },
        ),
        st.fixed_dictionaries({"method": st.sampled_from(sorted(SPECULATIVE_METHODS)), "tokens": st.integers(1, 64)}),
    ),
    "lora": st.fixed_dictionaries(
        {},
        optional={
            "maxAdapters": st.integers(1, 4),
            "maxRank": st.integers(1, 512),
            "maxCpuAdapters": st.integers(4, 9),
        },
    ),
    "sleepMode": st.booleans(),
    "toolCallParser": st.sampled_from(words_of("--tool-call-parser")),
    "reasoningParser": st.sampled_from(words_of("--reasoning-parser")),
    "chatTemplate": st.just({"configMapRef": {"name": "templates", "key": "a"}}),
    "apiKeySecretRef": st.just({"name": "keys", "key": "api"}),
}
SPECS = st.fixed_dictionaries(
    {
        "model": st.fixed_dictionaries({"uri": URIS}),
        "engine": st.fixed_dictionaries({"version": st.sampled_from(RELEASES)}, optional=ENGINE),
        "parallelism": st.fixed_dictionaries({"tensor": st.sampled_from([1, 2, 4])}),
        "accelerator": st.fixed_dictionaries({"class": st.sampled_from(NAMES)}),
    }
).map(SLMDeploymentSpec.model_validate)
VALID = SPECS.filter(lambda spec: not list(violations(spec, "spec")))
MANY = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)


def resolution_of(spec: SLMDeploymentSpec) -> tuple[Request, Resolution]:
    accelerator = builtin(spec.accelerator.class_name)
    assert accelerator is not None
    request = Request("support", spec, accelerator, drain_seconds=300)
    return request, resolve(request)


def wrong(request: Request, argument: Argument) -> str | None:
    """What the parser of the release would say."""
    word, *values = argument.words
    flag = request.flags.find(word)
    if flag is None:
        return "no such option"
    if flag.kind != "value":
        return "takes no value" if values else None
    if len(values) != 1 and flag.nargs not in ("+", "*"):
        return "takes one value"
    known = request.flags.values(word)
    if known is not None and not set(values) <= set(map(str, known)):
        return "invalid choice"
    convert = {"int": int, "float": float, "human-int": int, "human-int-or-auto": int}.get(flag.type, str)
    for value in values:
        convert(value)
    return None


@MANY
@given(VALID)
def test_no_flag_and_no_value_that_the_release_does_not_have(spec: SLMDeploymentSpec) -> None:
    request, found = resolution_of(spec)
    unseen = {doubt.field for doubt in found.doubts} | {problem.field for problem in found.problems}
    for argument in found.arguments:
        # What only a plug-in knows is told as a doubt, or refused.
        said = None if argument.field in unseen else wrong(request, argument)
        assert said is None, f"{argument.words}: {said} in vLLM {request.flags.release}"


@MANY
@given(VALID)
def test_no_wish_is_dropped_in_silence(spec: SLMDeploymentSpec) -> None:
    _, found = resolution_of(spec)
    heard = [item.field for item in items(found)]
    for name in spec.engine.model_dump(by_alias=True, exclude_none=True):
        wanted = spec.engine.to_manifest()[name]
        if name == "version" or wanted is False:  # what is off by default may need no word
            continue
        path = f"spec.engine.{name}"
        assert any(field == path or field.startswith(f"{path}.") for field in heard), path


def items(found: Resolution) -> Iterator[Any]:
    yield from (*found.arguments, *found.variables, *found.host_memory, *found.files)
    yield from (*found.adjustments, *found.problems)


@MANY
@given(VALID)
def test_an_adjustment_says_what_and_why(spec: SLMDeploymentSpec) -> None:
    _, found = resolution_of(spec)
    for adjustment in found.adjustments:
        assert adjustment.field.startswith("spec.")
        assert adjustment.flag.startswith("--")
        assert 0 < len(adjustment.why) <= 1024
    assert len(found.adjustments) <= 32


@pytest.mark.parametrize("version", ["0.34.0", "1.0.0", "0.33.0.post1"])
def test_a_release_newer_than_the_table_is_the_newest_one(version: str) -> None:
    def argv(release: str) -> list[str]:
        engine = {"version": release, "maxNumSeqs": 8, "swapSpace": "4Gi"}
        spec = {"model": {"uri": "hf://a/b"}, "engine": engine, "accelerator": {"class": "nvidia-l4"}}
        return resolution_of(SLMDeploymentSpec.model_validate(spec))[1].argv

    assert argv(version) == argv(RELEASES[-1])


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("0.33.0", ""),
        ("0.33.0rc1", "vLLM 0.33.0rc1 is not among the known releases: it gets the flags of 0.33.0"),
        ("0.20.9", "vLLM 0.20.9 is not among the known releases: it gets the flags of 0.20.2"),
        ("0.99.0", "vLLM 0.99.0 is not among the known releases: it gets the flags of 0.33.0, the newest one"),
    ],
)
def test_whose_flags_an_unknown_release_gets_is_told(version: str, told: str) -> None:
    spec = {"model": {"uri": "hf://a/b"}, "engine": {"version": version}, "accelerator": {"class": "nvidia-l4"}}
    assert resolution_of(SLMDeploymentSpec.model_validate(spec))[1].unknown == told
