from typing import Any

import pytest

from slmfleet.engine.flags import Flag, FlagTable
from slmfleet.engine.releases import Span
from slmfleet.engine.version import EngineVersion

REAL = FlagTable.load()
HEADS = [{"version": f"0.{minor}.0", "options": 1} for minor in (11, 12, 13, 14)]
SMALL = FlagTable(
    {
        "releases": [*HEADS[:3], HEADS[3] | {"incomplete": "not understood"}],
        "flags": [
            {"flag": "--gone", "since": "0.11.0", "until": "0.12.0", "kind": "bool"},
            {"flag": "--back", "since": "0.11.0", "until": "0.11.0", "kind": "value"},
            {"flag": "--back", "since": "0.13.0", "kind": "value"},
            {"flag": "--size", "since": "0.11.0", "until": "0.11.0", "kind": "value", "type": "int"},
            {"flag": "--size", "since": "0.12.0", "kind": "value", "type": "human-int", "aliases": ["-s"]},
            {"flag": "--enable-x", "since": "0.11.0", "kind": "bool-pair", "inverse": ["--disable-x"]},
        ],
        "values": [{"flag": "--back", "since": "0.13.0", "values": ["a", "b"]}],
    }
)


def release(text: str) -> EngineVersion:
    return EngineVersion.parse(text)


@pytest.mark.parametrize(
    ("version", "read", "known", "complete"),
    [
        ("0.11.0", "0.11.0", True, True),
        ("0.12.0.post1", "0.12.0", True, True),
        ("0.12.0rc1", "0.12.0", True, False),
        ("0.12.3", "0.12.0", True, False),
        ("0.14.0", "0.14.0", True, False),
        ("0.14.1", "0.14.0", False, False),
        ("0.15.0", "0.14.0", False, False),
        ("0.10.0", "0.11.0", False, False),
    ],
)
def test_a_release_has_the_list_of_the_newest_that_is_not_newer(
    version: str, read: str, known: bool, complete: bool
) -> None:
    flags = SMALL.for_version(release(version))
    assert (flags.release, flags.known, flags.complete) == (read, known, complete)


@pytest.mark.parametrize(
    ("name", "spans"),
    [
        ("--gone", (Span("0.11.0", "0.12.0"),)),
        ("--back", (Span("0.11.0", "0.11.0"), Span("0.13.0", None))),
        ("--size", (Span("0.11.0", None),)),
        ("-s", (Span("0.12.0", None),)),
        ("--no_enable_x", (Span("0.11.0", None),)),
        ("--never", ()),
    ],
)
def test_the_releases_that_have_a_spelling(name: str, spans: tuple[Span, ...]) -> None:
    assert SMALL.spans(name) == spans


@pytest.mark.parametrize(
    ("version", "word", "name"),
    [
        ("0.32.0", "--max-model-len", "--max-model-len"),
        ("0.32.0", "--max_model_len=4", "--max-model-len"),
        ("0.32.0", "-tp", "--tensor-parallel-size"),
        ("0.32.0", "-tp=2", "--tensor-parallel-size"),
        ("0.32.0", "-cc.pass_config.x=1", "--compilation-config"),
        ("0.32.0", "-O3", "--optimization-level"),
        ("0.32.0", "-O", "--optimization-level"),
        ("0.32.0", "-O.backend=x", None),
        ("0.12.0", "-O.backend=x", "--compilation-config"),
        ("0.11.0", "-O3", "--compilation-config"),
        ("0.32.0", "--no-enable-prefix-caching", "--enable-prefix-caching"),
        ("0.33.0", "--disable-prefix-caching", "--enable-prefix-caching"),
        ("0.32.0", "--device-memory-utilization", "--gpu-memory-utilization"),
        ("0.32.0", "--max-num-seq", None),
        ("0.32.0", "-tp2", None),
        ("0.32.0", "word", None),
    ],
)
def test_the_option_that_a_word_names(version: str, word: str, name: str | None) -> None:
    found = REAL.for_version(release(version)).find(word)
    assert (found and found.name) == name


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("--max-model-length", "--max-model-len"),
        ("--max-num-seq", "--max-num-seqs"),
        ("--tool-call-pars", "--tool-call-parser"),
        ("--something-else-entirely", None),
    ],
)
def test_the_nearest_spelling(word: str, nearest: str | None) -> None:
    assert REAL.for_version(release("0.32.0")).nearest(word) == nearest


def test_the_opposites_of_a_switch() -> None:
    flag = Flag("--enable-x", aliases=("-x",), kind="bool-pair", inverse=("--disable-x",))
    assert flag.negations == ("--no-enable-x", "--disable-x")
    assert not Flag("--y").negations


@pytest.mark.parametrize(
    ("version", "name", "inside", "outside"),
    [
        ("0.23.0", "--quantization", "gguf", "awq-marlin"),
        ("0.24.0", "--quantization", "bitsandbytes", "gguf"),
        ("0.11.0", "--max-lora-rank", 8, 1),
        ("0.11.1", "--max-lora-rank", 1, 2),
        ("0.19.1", "--kv-cache-dtype", "fp8", "nvfp4"),
        ("0.20.0", "--kv-cache-dtype", "nvfp4", "fp16"),
        ("0.32.0", "--dtype", "bfloat16", "fp16"),
        ("0.11.0", "--load-format", "gguf", "s3"),
        ("0.32.0", "--load-format", "runai_streamer", "gguf"),
        ("0.11.0", "--tool-call-parser", "hermes", "apertus"),
        ("0.11.0", "--reasoning-parser", "qwen3", "kimi_k2"),
        ("0.32.0", "--kv-offloading-backend", "lmcache", "redis"),
        ("0.32.0", "--offload-backend", "prefetch", "disk"),
        ("0.32.0", "--scheduling-policy", "priority", "lifo"),
        ("0.32.0", "--runner", "pooling", "embedding"),
        ("0.32.0", "--convert", "embed", "embedding"),
        ("0.12.0", "--task", "embed", "embeddings"),
    ],
)
def test_the_values_that_a_release_takes(version: str, name: str, inside: Any, outside: Any) -> None:
    values = REAL.for_version(release(version)).values(name)
    assert values is not None
    assert (inside in values, outside in values) == (True, False)


def test_options_without_a_list_of_values_have_none() -> None:
    flags = REAL.for_version(release("0.32.0"))
    assert flags.values("--max-model-len") is None
    assert flags.values("--no-such") is None


def test_the_table_is_complete_from_the_oldest_supported_release_on() -> None:
    assert (REAL.oldest, REAL.newest) == ("0.11.0", "0.33.0")
    assert [str(r.release) for r in REAL.releases if not REAL.for_version(r).complete] == []


@pytest.mark.parametrize("version", REAL.releases, ids=lambda r: ".".join(map(str, r.release)))
def test_no_spelling_of_a_release_belongs_to_two_options(version: EngineVersion) -> None:
    words = [word for flag in REAL.for_version(version) for word in (*flag.spellings, *flag.negations)]
    assert len(words) == len(set(words))
