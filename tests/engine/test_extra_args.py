import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.api.engine_flags import RESERVED_FLAGS
from slmfleet.engine.extra_args import FIELD, SUCCESSORS, check_extra_args
from slmfleet.engine.flags import Flags, FlagTable
from slmfleet.engine.version import EngineVersion

TABLE = FlagTable.load()


def problems(words: list[str], version: str = "0.32.0") -> list[str]:
    found, doubts = check_extra_args(words, TABLE.for_version(EngineVersion.parse(version)), RESERVED_FLAGS)
    assert not doubts
    return [str(problem).removeprefix(FIELD) for problem in found]


UNKNOWN = [
    # argument -> what is said on 0.32.0
    (
        "--swap-space=4",
        '"--swap-space" is no option of vLLM 0.32.0, only of 0.11.0 to 0.17.1: use --kv-offloading-size instead',
    ),
    (
        "--swap_space",
        '"--swap-space" is no option of vLLM 0.32.0, only of 0.11.0 to 0.17.1: use --kv-offloading-size instead',
    ),
    (
        "--watchdog-config",
        '"--watchdog-config" is no option of vLLM 0.32.0, only of 0.33.0 and later: use a release that has it, or remove it',
    ),
    ("--max-num-seq-s", '"--max-num-seq-s" is no option of vLLM 0.32.0: did you mean --max-num-seqs?'),
    ("--frobnicate=secret", '"--frobnicate" is no option of vLLM 0.32.0: remove it'),
    (
        "--max-num-seq",
        '"--max-num-seq" is short for --max-num-seqs, and in another release for something else or nothing: write --max-num-seqs',
    ),
    (
        "--device",
        '"--device" could be --device-ids, --device-memory-utilization: write the one that is meant in full',
    ),
    ("-tp2", '"-tp2" is no option of vLLM 0.32.0: did you mean -tp?'),
    ("--", '"--" makes words that belong to no option of all that follow: remove it'),
]


@pytest.mark.parametrize(("word", "said"), UNKNOWN)
def test_an_option_that_the_release_has_not(word: str, said: str) -> None:
    assert problems(["--enforce-eager", word]) == [f"[1]: {said}"]


@pytest.mark.parametrize(
    ("word", "option"),
    [
        ("--tensor-parallel-size=2", "--tensor-parallel-size"),
        ("--tensor_parallel_size", "--tensor-parallel-size"),
        ("--tensor-par", "--tensor-parallel-size"),
        ("-tp", "--tensor-parallel-size"),
        ("-tp=2", "--tensor-parallel-size"),
        ("--api-key=secret", "--api-key"),
        ("--model", "--model"),
        ("--headless", "--headless"),
    ],
)
@pytest.mark.parametrize("version", ["0.11.0", "0.32.0"])
def test_the_operators_options_in_any_spelling(word: str, option: str, version: str) -> None:
    assert problems([word, "secret"], version) == [f"[0]: {option} is not allowed: {RESERVED_FLAGS[option]}"]


@pytest.mark.parametrize(
    "word", ["--enable-prefix-caching", "--no-enable-prefix-caching", "--disable-prefix-caching=1"]
)
def test_the_opposite_of_an_operators_switch_is_its_too(word: str) -> None:
    flags = TABLE.for_version(EngineVersion.parse("0.33.0"))
    (problem,), _ = check_extra_args([word], flags, {"--enable-prefix-caching": "set the field instead"})
    assert str(problem) == f"{FIELD}[0]: --enable-prefix-caching is not allowed: set the field instead"


SWITCHES = [
    (["--enable-chunked-prefill=False"], '[0]: "False" is a value, and --enable-chunked-prefill takes none: write --no-enable-chunked-prefill alone'),
    (["--enable-chunked-prefill", "false"], '[1]: "false" is a value, and --enable-chunked-prefill takes none: write --no-enable-chunked-prefill alone'),
    (["--enable-chunked-prefill", "True"], '[1]: "True" is a value, and --enable-chunked-prefill takes none: write --enable-chunked-prefill alone'),
    (["--no-enable-chunked-prefill=true"], '[0]: "true" is a value, and --no-enable-chunked-prefill takes none: write --no-enable-chunked-prefill alone'),
    (["--no-enable-chunked-prefill", "0"], '[1]: "0" is a value, and --no-enable-chunked-prefill takes none: write --enable-chunked-prefill alone'),
    (["--disable-log-stats=no"], '[0]: "no" is a value, and --disable-log-stats takes none: leave --disable-log-stats out'),
    (["--enforce-eager", "maybe"], '[1]: "maybe" is a value, and --enforce-eager takes none: remove the value'),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), SWITCHES)
def test_a_switch_with_a_value(words: list[str], said: str) -> None:
    assert problems(words) == [said]


VALUES = [
    (["--max-num-seqs"], '[0]: "--max-num-seqs" needs a value: add it as the next item'),
    (["--max-num-seqs", "--enforce-eager"], '[0]: "--max-num-seqs" needs a value: add it as the next item'),
    (["--stop-here", "x"], '[0]: "--stop-here" is no option of vLLM 0.32.0: remove it'),
    (["x", "--enforce-eager"], '[0]: "x" belongs to no option: remove it, or put the option that it is for before it'),
    (["--max-num-seqs", "1", "2"], '[2]: "2" belongs to no option: remove it, or put the option that it is for before it'),
    (["--max-num-seqs=1", "2"], '[1]: "2" belongs to no option: remove it, or put the option that it is for before it'),
    (["--max-num-seqs", "many"], '[1]: "many" is not a whole number: give --max-num-seqs one'),
    (["--gpu-memory-utilization=a"], '[0]: "a" is not a number: give --gpu-memory-utilization one'),
    (["--max-num-batched-tokens", "2.5K"], '[1]: "2.5K" is not a whole number, such as 4096 or 4K: give --max-num-batched-tokens one'),
    (["--kv-transfer-config", "nixl"], '[1]: "nixl" is not a JSON object: give --kv-transfer-config one'),
    (["--compilation-config", "3"], '[1]: "3" is not a JSON object: give --compilation-config one'),
    (["--default-mm-loras", "{"], '[1]: "{" is not JSON: give --default-mm-loras one'),
    (["--lora-modules", "a=b", "c"], '[2]: "c" is not name=path or a JSON object with name and path: give --lora-modules one'),
    (["--max-num-seqs.x", "3"], '[0]: "--max-num-seqs.x" has a key, and the option has none: write --max-num-seqs without it'),
    (["--enforce-eager.x=1"], '[0]: "--enforce-eager.x" has a key, and the option has none: write --enforce-eager without it'),
    (["-cc.mode"], '[0]: "-cc.mode" needs a value: add it as the next item'),
    (["-O3", "2"], '[1]: "2" belongs to no option: remove it, or put the option that it is for before it'),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), VALUES)
def test_a_value_that_is_missing_or_wrong(words: list[str], said: str) -> None:
    assert problems(words) == [said]


CHOICES = [
    ("--dtype", "bf16", "did you mean bfloat16? It takes auto, bfloat16, float, float16, float32, half"),
    ("--kv-offloading-backend", "None", "use lmcache, native"),
    ("--max-lora-rank", "7", "use 1, 8, 16, 32, 64, 128, 256, 320, 512"),
    ("--scheduling-policy", "lifo", "use fcfs, priority"),
    ("--load-format", "s3", "use auto, hf, dummy, fastsafetensors, instanttensor, ipc_cache, mistral, modelexpress, npcache, pt and 5 more"),
    ("--tool-call-parser", "Hermes", "did you mean hermes? It takes apertus, cohere_command3, cohere_command4, deepseek_v3, deepseek_v31, deepseek_v32, deepseek_v4, deepseek_v41, dots, ernie45 and 44 more"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "fix"), CHOICES)
def test_a_value_that_is_none_of_those_that_there_are(name: str, value: str, fix: str) -> None:
    assert problems([name, value]) == [f'[1]: "{value}" is no value of {name} in vLLM 0.32.0: {fix}']


RIGHT = [
    ["--enforce-eager", "--no-enable-chunked-prefill", "--max-num-seqs", "8"],
    ["--max_num_seqs=8", "--gpu_memory_utilization", ".9"],
    ["-O3"],
    ["-O=3"],
    ["-O", "2"],
    ["-cc.mode=3", "-cc.pass_config.fuse", "true"],
    ["--structured-outputs-config.backend", "xgrammar"],
    ["--compilation-config.custom_ops+=none,+rms_norm"],
    ["--kv-transfer-config", '{"kv_connector": "x", "size": 80m}'],
    ["--hf-overrides", "path", "--model-loader-extra-config", '{"a": 1}'],
    ["--cudagraph-capture-sizes", "1", "2", "4", "--enforce-eager"],
    ["--middleware", "a.B", "--middleware", "c.D"],
    ["--max-num-batched-tokens", "8.5k"],
    ["--kv-cache-memory-bytes", "None"],
    ["--moe-backend", "Flashinfer-TRTLLM"],
    ["--seed", "-1"],
    ["--response-role", "two words"],
    ["--tool-call-parser", "mine", "--tool-parser-plugin", "/x.py"],
    ["--lora-modules", "a=b", '{"name": "c", "path": "d"}'],
]


@pytest.mark.parametrize("words", RIGHT)
def test_what_vllm_takes_passes(words: list[str]) -> None:
    assert problems(words) == []


@pytest.mark.parametrize("words", [["-O3"], ["-O", "3"], ["-O.level=3"], ["-O", '{"level": 3}']])
def test_a_level_was_a_part_of_the_compilation_config(words: list[str]) -> None:
    assert problems(words, "0.11.0") == []


@pytest.mark.parametrize("version", ["0.32.1", "0.33.0rc1", "0.34.0"])
def test_a_release_without_a_complete_list_refuses_only_the_operators_options(version: str) -> None:
    flags = TABLE.for_version(EngineVersion.parse(version))
    found, doubts = check_extra_args(["--x-new", "3", "--dtype", "fp4", "--port=1"], flags, RESERVED_FLAGS)
    assert [(problem.field, problem.value) for problem in found] == [(f"{FIELD}[4]", "--port")]
    assert [(doubt.field, doubt.text) for doubt in doubts] == [
        (f"{FIELD}[0]", f'"--x-new" is no option of vLLM {flags.release}; it is passed on unchecked'),
        (f"{FIELD}[3]", f'"fp4" is no value of --dtype in vLLM {flags.release}; it is passed on unchecked'),
    ]


def test_an_image_may_bring_names_that_the_release_has_not_but_no_choices() -> None:
    flags = TABLE.for_version(EngineVersion.parse("0.32.0"))
    words = ["--quantization", "gguf", "--dtype", "fp4"]
    found, doubts = check_extra_args(words, flags, RESERVED_FLAGS, plugins=True)
    assert [problem.field for problem in found] == [f"{FIELD}[3]"]
    assert [doubt.text for doubt in doubts] == [
        '"gguf" is no value of --quantization in vLLM 0.32.0; it is passed on unchecked'
    ]


def test_only_an_option_of_another_release_counts_as_removed() -> None:
    found, _ = check_extra_args(["--swap-space", "--frob"], TABLE.for_version(EngineVersion.parse("0.32.0")), {})
    assert [problem.removed for problem in found] == [True, False]


@pytest.mark.parametrize(("gone", "successors"), SUCCESSORS.items())
def test_a_successor_is_there_when_the_option_is_gone(gone: str, successors: str) -> None:
    last = EngineVersion.parse(TABLE.spans(gone)[0].until or "")
    later = [flags for flags in map(TABLE.for_version, TABLE.releases) if EngineVersion.parse(flags.release) > last]
    without = [flags for flags in later if flags.find(gone) is None]
    assert without
    assert all(flags.find(name) for flags in without for name in successors.split(" or "))


VALUES_OF = {
    "str": st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1),
    "int": st.integers().map(str),
    "float": st.floats(0, allow_infinity=False).map(str),
    "json": st.dictionaries(st.text(max_size=3), st.integers(), max_size=2).map(json.dumps),
    "human-int": st.sampled_from(["1", "4k", "2.5k", "4K", "1G"]),
    "human-int-or-auto": st.sampled_from(["1", "-1", "auto", "32K"]),
    "lora-module": st.sampled_from(["a=b", '{"name": "a", "path": "b"}']),
}
VALUES_OF |= dict.fromkeys(("json-object", "json-or-str"), VALUES_OF["json"])
VALUES_OF |= dict.fromkeys(("name-or-none", "snake-case"), VALUES_OF["str"])


@st.composite
def option(draw: st.DrawFn, flags: Flags) -> list[str]:
    flag = draw(st.sampled_from(list(flags)))
    spelling = draw(st.sampled_from(flag.spellings))
    spelling = (
        spelling.replace("-", "_").replace("__", "--", 1) if draw(st.booleans()) and spelling[1] == "-" else spelling
    )
    if flag.kind != "value":
        return [draw(st.sampled_from([spelling, *flag.negations]))]
    known = flags.values(flag.name)
    value = st.sampled_from([str(v) for v in known if v is not None]) if known else VALUES_OF[flag.type]
    if flag.nargs == "+":
        return [spelling, *draw(st.lists(value, min_size=1, max_size=3))]
    return draw(st.sampled_from([[spelling, draw(value)], [f"{spelling}={draw(value)}"]]))


@given(st.data())
def test_options_of_the_release_with_values_of_their_types_are_never_refused(data: st.DataObject) -> None:
    flags = TABLE.for_version(data.draw(st.sampled_from(TABLE.releases)))
    words = [word for words in data.draw(st.lists(option(flags), max_size=8)) for word in words]
    assert check_extra_args(words, flags, {}) == ([], [])
