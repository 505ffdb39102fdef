"""The table of options and the arguments that slmfleet writes, against the real parsers of several vLLM releases."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml

from e2e.contract import parsers
from e2e.contract.parsers import RELEASES, Parser
from slmfleet.api.conditions import Reason
from slmfleet.core.plan import plan
from slmfleet.core.types import Manifest
from slmfleet.engine.extra_args import check_extra_args
from slmfleet.engine.flags import Flag, Flags, FlagTable, flag_of
from slmfleet.engine.version import EngineVersion
from tests.core.make import NOW
from tests.golden.test_golden import CASES, CONFIG, HERE, observed

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Parser]]:
    with parsers.started(tmp_path_factory.mktemp("parsers")) as running:
        yield running


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def parser(started: dict[str, Parser], release: str) -> Parser:
    return started[release]


@pytest.fixture
def flags(release: str) -> Flags:
    return FlagTable.load().for_version(EngineVersion.parse(release))


BY_PLATFORM = {"--mm-processor-device"}
"""Options whose choices the table leaves out."""
COUNTS = {"0.14.1": 262, "0.17.1": 286, "0.20.2": 306, "0.24.0": 337, "0.28.0": 362, "0.32.0": 405}
"""Names, one opposite for each switch that has any, and --help."""


def test_the_table_has_every_option_of_the_real_parser_and_no_other(parser: Parser, flags: Flags, release: str) -> None:
    real = {flag.name: flag for flag in map(flag_of, parser.options)}
    ours = {flag.name: flag for flag in flags}
    assert sum(2 if flag.negations else 1 for flag in real.values()) + 1 == COUNTS[release]
    assert ours.keys() == real.keys()
    assert {name: flag for name, flag in ours.items() if flag != _claimed(real[name], flag)} == {}


def _claimed(real: Flag, ours: Flag) -> Flag:
    """Without what the table leaves out: choices and defaults that depend on the platform."""
    return replace(
        real,
        choices=real.choices if ours.choices else None,
        default=real.default if ours.default is not None else None,
    )


def test_the_table_leaves_out_little(parser: Parser, flags: Flags) -> None:
    real = {flag.name: flag for flag in map(flag_of, parser.options)}
    without = {flag.name for flag in flags if flag != real[flag.name]}
    assert without <= BY_PLATFORM


def engine_args(manifest: Manifest) -> list[str]:
    containers = manifest["spec"]["template"]["spec"]["containers"]
    (engine,) = [container for container in containers if "vllm.entrypoints.openai.api_server" in container["command"]]
    return [str(word) for word in engine["args"]]


def test_what_the_golden_cases_pass_to_the_engine_is_taken(parser: Parser, release: str) -> None:
    cases = [case for case in CASES if observed(case).slm["spec"]["engine"]["version"] == release]
    rendered = [yaml.safe_load((HERE / case / "out" / "deployment.yaml").read_text()) for case in cases]
    assert parser.refusals([engine_args(manifest) for manifest in rendered]) == {}


@pytest.mark.parametrize("case", CASES)
def test_a_case_for_another_release_is_refused_by_us_or_taken_by_it(parser: Parser, release: str, case: str) -> None:
    found = observed(case)
    found.slm["spec"]["engine"]["version"] = release
    result = plan(found, CONFIG, NOW)
    deployments = [manifest for manifest in result.apply if manifest["kind"] == "Deployment"]
    if not deployments:
        (accepted,) = [one for one in result.status["conditions"] if one["type"] == "Accepted"]
        assert accepted["reason"] == Reason.INVALID_SPEC
    assert parser.refusals(list(map(engine_args, deployments))) == {}


VALUES = {"int": "1", "float": "0.5", "json": "{}", "json-object": "{}", "human-int": "4k", "human-int-or-auto": "auto"}


def given(flag: Flag, flags: Flags, spelling: str) -> list[str]:
    """An option with a value that the table says it takes."""
    if flag.kind != "value":
        return [spelling]
    known = [str(value) for value in flags.values(flag.name) or () if value is not None]
    return [spelling, known[0] if known else VALUES.get(flag.type, "a=b")]


def test_every_spelling_and_opposite_is_taken_and_none_is_a_problem(parser: Parser, flags: Flags) -> None:
    checkable = [flag for flag in flags if flag.name not in {*BY_PLATFORM, "--config"}]  # the latter reads a file
    argvs = [given(flag, flags, spelling) for flag in checkable for spelling in flag.spellings]
    argvs += [[word] for flag in checkable for word in flag.negations]
    assert parser.refusals(argvs) == {}
    assert [problem for argv in argvs for problem in check_extra_args(argv, flags, {})[0]] == []


def test_an_option_of_other_releases_only_is_refused_or_short_for_another(parser: Parser, flags: Flags) -> None:
    others = [name for name in sorted(FlagTable.load().names) if flags.find(name) is None]
    assert others
    refused = parser.refusals([[name] for name in others])
    assert [name for name in others if name not in refused and not flags.starting_with(name)] == []
    assert all(check_extra_args([name], flags, {})[0] for name in others)


ODD = ["1", "-1", "0.5", "x", "a=b", "{}", "[1]", "3", "", "None", "true", "4k", "2.5K", "two words", "-x", "-tp", "-"]
"""Values of every type, and what only looks like one."""


def test_random_arguments_that_are_no_problem_are_taken(parser: Parser, flags: Flags, release: str) -> None:
    rng = random.Random(release)
    argvs = [[*_random_words(rng, flags), *_random_words(rng, flags)] for _ in range(1000)]
    fine = [
        argv for argv in argvs if check_extra_args(argv, flags, {"--config": "", "--help": "", "-h": ""}) == ([], [])
    ]
    assert fine
    assert parser.refusals(fine) == {}


def _random_words(rng: random.Random, flags: Flags) -> list[str]:
    flag = rng.choice([flag for flag in flags if flag.name not in BY_PLATFORM])
    word = rng.choice([*flag.spellings, *flag.negations])
    known = [str(value) for value in flags.values(flag.name) or ()]
    value = rng.choice(known if known and rng.random() < 0.5 else ODD)
    match rng.choice(["short", "key", "underscores", "plain", "plain", "plain"]):
        case "short":
            word = word[: -rng.randint(1, 4)]
        case "key" if flag.type not in {"json-object", "json-or-str"}:  # only vLLM knows the keys of its configurations
            word += ".key"
        case "underscores" if word.startswith("--"):
            word = f"--{word[2:].replace('-', '_')}"
    return rng.choice([[word], [f"{word}={value}"], [word, value]])
