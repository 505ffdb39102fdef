from typing import Any

import pytest

from tests.engine.resolving import env, refused, resolved, words

HUB = {"name": "hub", "key": "token"}


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ({"quantization": "awq"}, ["--quantization", "awq"]),
        ({"dtype": "half"}, ["--dtype", "half"]),
        ({"loadFormat": "runai_streamer"}, ["--load-format", "runai_streamer"]),
        ({"trustRemoteCode": True}, ["--trust-remote-code"]),
        ({"trustRemoteCode": False}, ["--no-trust-remote-code"]),
        ({"tokenizer": {"uri": "hf://a/b"}}, ["--tokenizer", "a/b"]),
        ({"tokenizer": {"uri": "hf://a/b", "revision": "v1"}}, ["--tokenizer", "a/b", "--tokenizer-revision", "v1"]),
        ({"gguf": {"quant": "Q4_K_M"}, "image": "mine:1"}, ["--model", "Qwen/Qwen3-8B:Q4_K_M"]),
    ],
)
def test_a_field_becomes_its_flag(engine: dict[str, Any], expected: list[str]) -> None:
    found = resolved(**engine)
    assert words(found, *engine) == expected
    assert not found.problems


def test_without_fields_the_engine_decides() -> None:
    assert words(resolved(), "quantization", "dtype", "loadFormat", "tokenizer", "gguf", "trustRemoteCode") == []


@pytest.mark.parametrize(
    ("version", "quantization", "told"),
    [
        ("0.32.0", "awk", "did you mean awq?"),
        ("0.32.0", "hqq", "know it"),
        ("0.19.0", "humming", "0.20.0 and later know it"),
    ],
)
def test_a_quantization_that_the_release_does_not_know_is_refused(version: str, quantization: str, told: str) -> None:
    (text,) = refused(resolved(version, quantization=quantization))
    assert text.startswith(f"spec.engine.quantization: {quantization} is not known to vLLM {version}")
    assert told in text


def test_an_image_of_the_users_own_may_know_more_than_the_release() -> None:
    found = resolved(image="mine:1", quantization="awk")
    assert words(found, "quantization") == ["--quantization", "awk"]
    assert found.doubts[0].text.endswith("but perhaps to spec.engine.image; if not: did you mean awq?")
    # What the parser itself lists is refused by any image.
    assert refused(resolved(image="mine:1", kvCacheDtype="fp7"))


@pytest.mark.parametrize(
    ("field", "value", "last", "first_without"),
    [
        ("quantization", "gguf", "0.23.0", "0.24.0"),
        ("quantization", "bitsandbytes", "0.27.1", "0.28.0"),
        ("loadFormat", "gguf", "0.23.0", "0.24.0"),
        ("loadFormat", "bitsandbytes", "0.27.1", "0.28.0"),
        ("gguf", {"quant": "Q4_K_M"}, "0.23.0", "0.24.0"),
    ],
)
def test_what_left_for_a_plugin_needs_an_image_that_has_it(
    field: str, value: Any, last: str, first_without: str
) -> None:
    before = resolved(last, **{field: value})
    assert not before.problems
    assert not before.doubts
    (text,) = refused(resolved(first_without, **{field: value}))
    assert "-plugin, which upstream's image" in text
    own = resolved(first_without, **{field: value, "image": "mine:1"})
    assert not own.problems
    assert words(own, field)
    assert "-plugin" in own.doubts[0].text


@pytest.mark.parametrize("value", ["gguf", "bitsandbytes"])
def test_what_has_no_kernels_for_cpus_is_refused_there(value: str) -> None:
    for version in ("0.23.0", "0.33.0"):
        (text,) = refused(resolved(version, on="cpu", image="mine:1", quantization=value))
        assert "has no kernels for CPUs" in text


def test_a_gguf_of_the_hub_is_refused_before_vllm_could_load_one() -> None:
    (text,) = refused(resolved("0.11.2", gguf={"quant": "Q4_K_M"}))
    assert text.startswith("spec.engine.gguf.quant: Q4_K_M cannot be had from the hub by vLLM 0.11.2")
    assert not resolved("0.12.0", gguf={"quant": "Q4_K_M"}).problems


def test_a_gguf_in_a_claim_is_a_file_of_the_models_directory() -> None:
    found = resolved("0.11.0", model={"uri": "pvc://models/qwen"}, gguf={"file": "q4.gguf"})
    assert words(found, "gguf") == ["--model", "/pvc/qwen/q4.gguf"]
    assert not found.problems


@pytest.mark.parametrize(
    ("version", "on", "quantization", "told"),
    [
        ("0.13.0", "nvidia-t4", "fp8", "needs compute capability 8.0 in vLLM 0.13.0 (nvidia-t4 has 7.5)"),
        ("0.32.0", "nvidia-t4", "mxfp4", "needs compute capability 8.0 in vLLM 0.32.0 (nvidia-t4 has 7.5)"),
        ("0.32.0", "amd-mi300x", "awq_marlin", None),
        ("0.32.0", "amd-mi300x", "gptq_marlin", "is not among what vLLM 0.32.0 loads on ROCm"),
        ("0.14.0", "nvidia-t4", "fp8", None),
        ("0.32.0", "nvidia-l4", "fp8", None),
    ],
)
def test_a_quantization_has_to_run_on_the_accelerator(
    version: str, on: str, quantization: str, told: str | None
) -> None:
    texts = refused(resolved(version, on=on, quantization=quantization))
    assert len(texts) == (told is not None)
    assert told is None or told in texts[0]


def test_fp8_weights_on_a_gpu_without_fp8_are_remarked_upon() -> None:
    (remark,) = resolved(on="nvidia-a10g", quantization="fp8").remarks
    assert remark.text == "nvidia-a10g has no FP8 arithmetic: it saves memory, and computes in 16 bits"
    assert not resolved(on="nvidia-l4", quantization="fp8").remarks


def test_bfloat16_needs_a_gpu_that_has_it() -> None:
    (text,) = refused(resolved(on="nvidia-t4", dtype="bfloat16"))
    assert text == "spec.engine.dtype: bfloat16 needs compute capability 8.0 (nvidia-t4 has 7.5): use half"
    assert not resolved(on="nvidia-t4", dtype="half").problems


@pytest.mark.parametrize("uri", ["pvc://models/tokenizer", "image:///tokenizer"])
def test_a_tokenizer_lies_in_the_models_claim_or_in_the_image(uri: str) -> None:
    assert not resolved(model={"uri": "pvc://models/qwen"}, tokenizer={"uri": uri}).problems


def test_a_tokenizer_in_another_claim_is_refused() -> None:
    (text,) = refused(resolved(tokenizer={"uri": "pvc://models/tokenizer"}))
    assert text.startswith("spec.engine.tokenizer.uri: pvc://models/tokenizer lies in a claim that the engine does not")


def test_the_hubs_token_comes_from_its_secret() -> None:
    assert env(resolved(model={"uri": "hf://a/b", "secretRef": HUB})) == {"HF_TOKEN": None}


def test_a_gated_draft_model_brings_the_token_where_the_model_needs_none() -> None:
    draft = {"model": "hf://a/draft", "tokens": 3, "secretRef": HUB}
    found = resolved(speculative=draft)
    assert env(found) == {"HF_TOKEN": None}
    assert found.variables[0].field == "spec.engine.speculative.secretRef"


def test_two_different_tokens_are_refused_and_one_token_twice_is_not() -> None:
    draft = {"model": "hf://a/draft", "tokens": 3, "secretRef": HUB}
    other = {"uri": "hf://a/b", "secretRef": {"name": "other", "key": "token"}}
    assert "an engine has one token for the hub" in refused(resolved(model=other, speculative=draft))[0]
    assert not resolved(model={"uri": "hf://a/b", "secretRef": HUB}, speculative=draft).problems


@pytest.mark.parametrize(
    ("engine", "offline"),
    [
        ({}, True),
        ({"tokenizer": {"uri": "image:///tokenizer"}}, True),
        ({"tokenizer": {"uri": "hf://a/b"}}, False),
        ({"speculative": {"model": "hf://a/draft", "tokens": 3}}, False),
        ({"speculative": {"method": "ngram", "tokens": 3}}, True),
    ],
)
def test_an_engine_is_kept_from_the_hub_when_it_needs_nothing_there(engine: dict[str, Any], offline: bool) -> None:
    found = env(resolved(model={"uri": "pvc://models/a"}, **engine))
    assert found == ({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"} if offline else {})
