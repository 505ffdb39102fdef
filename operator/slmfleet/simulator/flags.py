"""The server's command line as one vLLM release accepts it.

A flag that the release has not yet, or no longer, or never had ends the process with exit code 2 and argparse's last
line, as in vLLM (FlexibleArgumentParser, vllm/utils/argparse_utils.py). The table is slmfleet/engine/flags.json.
"""

import argparse
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from slmfleet.engine import values
from slmfleet.engine.flags import LEVEL, Flag, Flags, FlagTable
from slmfleet.engine.version import EngineVersion

PROG: Final = "api_server.py"
_NAME: Final = re.compile(r"(?<=--)[^.]*")
_LEVELS: Final = ("0", "1", "2", "3")


def parse(argv: Sequence[str], version: EngineVersion) -> argparse.Namespace:
    """The flags in `argv` as attributes (dashes become underscores; None where not given).

    Prints usage and the error on stderr and raises SystemExit(2) where the release would.
    """
    flags = FlagTable.load().for_version(version)
    parser = argparse.ArgumentParser(prog=PROG, description="vLLM OpenAI-Compatible RESTful API server.")
    # The module's parser shares this positional with `vllm serve`: it swallows one stray word without a complaint,
    # so "--swap-space 4" is reported as "unrecognized arguments: --swap-space" and "--enforce-eager False" passes.
    parser.add_argument("model_tag", type=str, nargs="?")
    for flag in flags:
        action = parser.add_argument(*flag.spellings, **_options(flag))
        if flag.inverse:
            action.option_strings = [*flag.spellings, *flag.inverse]  # vLLM's messages do without --no-enable-x
    return parser.parse_args(normalized(argv, flags))


class _Pair(argparse.BooleanOptionalAction):
    """--x and --no-x, and --disable-x for an --enable-x."""

    def __init__(self, option_strings: Sequence[str], dest: str, flag: Flag) -> None:
        super().__init__(option_strings, dest)
        self.option_strings = [*flag.spellings, *flag.negations]
        self._negations = flag.negations

    def __call__(self, *call: Any, **_: object) -> None:  # noqa: ANN401 - parser, namespace, values, option string
        setattr(call[1], self.dest, call[3] not in self._negations)


def _options(flag: Flag) -> dict[str, Any]:
    """The arguments of argparse's add_argument for a flag."""
    if flag.kind == "bool":
        return {"action": "store_true", "default": None}
    if flag.kind == "bool-pair":
        return {"action": _Pair, "flag": flag}
    convert = values.BY_NAME[flag.type]
    return {
        "action": "append" if flag.repeat else "store",
        "type": values.optional(convert) if flag.optional else convert,
        "choices": flag.choices,
        **({"nargs": flag.nargs} if flag.nargs else {}),
    }


def normalized(argv: Sequence[str], flags: Flags) -> list[str]:
    """`argv` as vLLM rewrites it for argparse: underscores in names, -O<level>, and --config.key value as JSON."""
    words: list[str] = []
    for at, word in enumerate(argv):
        following = argv[at + 1] if at + 1 < len(argv) else None
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            words.append(_NAME.sub(lambda match: match.group(0).replace("_", "-"), name, count=1) + equals + value)
        elif word == LEVEL and following in _LEVELS:
            words.append(_level_option(flags))
        elif word.startswith(LEVEL) and word[2:3] not in {"", "."}:
            words += [_level_option(flags), word[3:] if word[2] == "=" else word[2:]]
        else:
            words.append(word)
    return _dotted_to_json(words)


def _level_option(flags: Flags) -> str:
    """What -O3 stands for: before 0.12 a part of another option's object."""
    flag = flags.find(LEVEL)
    if flag is None or LEVEL not in flag.spellings:
        return "--optimization-level"
    return f"{LEVEL}.level" if flags.release == "0.11.0" else f"{LEVEL}.mode"


def _dotted_to_json(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    objects: dict[str, dict[str, Any]] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if not (name.startswith("-") and "." in name) or _is_number(name):
            kept.append(word)
            continue
        if not equals:
            value = next(rest, "")
        if name.endswith("+"):
            name, value = name[:-1], json.dumps(value.split(","))
        flag, *path = name.split(".")
        target = objects.setdefault(flag, {})
        for key in path[:-1]:
            target = target.setdefault(key, {})
        target[path[-1]] = _loaded(value)
    for flag, loaded in objects.items():
        kept += [flag, json.dumps(loaded)]
    return kept


def _is_number(word: str) -> bool:
    return re.fullmatch(r"-\d*\.?\d+", word) is not None


def _loaded(value: str) -> object:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        pass
    try:
        return values.human_readable_int(value)
    except (ValueError, argparse.ArgumentTypeError):
        return value
