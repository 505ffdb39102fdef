import pytest

from slmfleet.engine.flags import FlagTable
from slmfleet.engine.version import EngineVersion
from slmfleet.simulator.flags import normalized, parse

from .building import LATEST

REFUSED = [
    # argv -> the end of 0.32.0's last line on stderr, as captured from the real parser
    (["--swap-space", "4"], "unrecognized arguments: --swap-space"),
    (["--swap_space=4"], "unrecognized arguments: --swap-space=4"),
    (["--swap-space=4", "--foo", "3"], "unrecognized arguments: --swap-space=4 --foo"),
    (["pos", "extra"], "unrecognized arguments: extra"),
    (["-tp2"], "unrecognized arguments: -tp2"),
    (["--foo.bar", "3"], "unrecognized arguments: --foo"),
    (["--device", "cpu"], "ambiguous option: --device could match --device-ids, --device-memory-utilization"),
    (["--max-num-seqs", "x"], "argument --max-num-seqs: invalid int value: 'x'"),
    (["--max-model-len", "32Q"], "argument --max-model-len: invalid human_readable_int_or_auto value: '32Q'"),
    (["--max-model-len"], "argument --max-model-len: expected one argument"),
    (["--served-model-name"], "argument --served-model-name: expected at least one argument"),
    (
        ["--gpu-memory-utilization", "a"],
        "argument --gpu-memory-utilization/--device-memory-utilization: invalid float value: 'a'",
    ),
    (
        ["--enable-chunked-prefill=False"],
        "argument --enable-chunked-prefill/--no-enable-chunked-prefill: ignored explicit argument 'False'",
    ),
    (
        ["--max-lora-rank", "7"],
        "argument --max-lora-rank: invalid choice: 7 (choose from 1, 8, 16, 32, 64, 128, 256, 320, 512)",
    ),
    (
        ["--dtype", "f"],
        "argument --dtype: invalid choice: 'f' (choose from 'auto', 'bfloat16', 'float', 'float16', 'float32', 'half')",
    ),
]


@pytest.mark.parametrize(("argv", "end"), REFUSED)
def test_a_refused_flag_exits_2_with_the_real_last_line(
    argv: list[str], end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        parse(argv, LATEST)
    assert exited.value.code == 2
    assert capsys.readouterr().err.rstrip().splitlines()[-1] == f"api_server.py: error: {end}"


ACCEPTED = [
    (["-O3"], "optimization_level", "3"),
    (["-O", "2"], "optimization_level", "2"),
    (["-tp", "2"], "tensor_parallel_size", 2),
    (["--max_model_len", "32K"], "max_model_len", 32768),
    (["--max-model-len", "auto"], "max_model_len", -1),
    (["--max-num-batched-tokens", "8.5k"], "max_num_batched_tokens", 8500),
    (["--max-num-seq", "4"], "max_num_seqs", 4),
    (["--no-enable-prefix-caching"], "enable_prefix_caching", False),
    (["--structured-outputs-config.backend", "x"], "structured_outputs_config", {"backend": "x"}),
    (["--kv-transfer-config", '{"kv_connector": "c"}'], "kv_transfer_config", {"kv_connector": "c"}),
    (["--middleware", "a.B", "--middleware", "c.D"], "middleware", ["a.B", "c.D"]),
    (["--enable-chunked-prefill", "False"], "enable_chunked_prefill", True),
    (["--kv-cache-memory-bytes", "None"], "kv_cache_memory_bytes", None),
]


@pytest.mark.parametrize(("argv", "name", "value"), ACCEPTED)
def test_an_accepted_flag_has_its_value(argv: list[str], name: str, value: object) -> None:
    assert getattr(parse(argv, LATEST), name) == value


HISTORY = [
    # flag, the releases that take it, the ones that do not
    (["--swap-space", "4"], ["0.11.0", "0.17.0", "0.17.1"], ["0.18.0", "0.33.0"]),
    (["--disable-log-requests"], ["0.11.0", "0.16.0"], ["0.17.0"]),
    (["--shutdown-timeout", "5"], ["0.18.0", "0.33.0"], ["0.11.0", "0.17.1"]),
    (["--kv-offloading-size", "4"], ["0.11.1", "0.32.0"], ["0.11.0"]),
    (["--rope-theta", "1"], ["0.11.0"], ["0.11.1"]),
    (["--max-num-queued-reqs", "5"], ["0.29.0"], ["0.28.0"]),
    (["--device-memory-utilization", "0.5"], ["0.31.0"], ["0.30.0"]),
    (["--kv-cache-dtype", "nvfp4"], ["0.20.0"], ["0.19.0"]),
    (["--watchdog-config", "{}"], ["0.33.0"], ["0.32.0"]),
]


@pytest.mark.parametrize(("argv", "taken", "refused"), HISTORY)
def test_a_flag_is_taken_by_the_releases_that_have_it(argv: list[str], taken: list[str], refused: list[str]) -> None:
    for release in taken:
        parse(argv, EngineVersion.parse(release))
    for release in refused:
        with pytest.raises(SystemExit):
            parse(argv, EngineVersion.parse(release))


FLAGS = FlagTable.load().for_version(LATEST)


def test_dotted_names_of_one_flag_become_one_object() -> None:
    argv = ["-cc.mode=3", "--max-num-seqs", "4", "-cc.pass.level", "2"]
    assert normalized(argv, FLAGS) == ["--max-num-seqs", "4", "-cc", '{"mode": 3, "pass": {"level": 2}}']


def test_values_keep_their_underscores_and_dots() -> None:
    assert normalized(["--served_model_name=my_model.v1"], FLAGS) == ["--served-model-name=my_model.v1"]


@pytest.mark.parametrize("argv", [["-O3"], ["-O=3"], ["-O", "3"]])
@pytest.mark.parametrize(
    ("release", "name", "value"),
    [
        ("0.11.0", "compilation_config", {"level": 3}),
        ("0.11.2", "compilation_config", {"mode": 3}),
        ("0.12.0", "optimization_level", "3"),
    ],
)
def test_a_level_goes_to_the_option_that_the_release_has_for_it(
    argv: list[str], release: str, name: str, value: object
) -> None:
    assert getattr(parse(argv, EngineVersion.parse(release)), name) == value


@pytest.mark.parametrize(("word", "value"), [("--disable-fastapi-docs", True), ("--enable-fastapi-docs", False)])
def test_an_opposite_without_no_turns_a_switch_off(word: str, value: object) -> None:
    assert parse([word], EngineVersion.parse("0.33.0")).disable_fastapi_docs is value
