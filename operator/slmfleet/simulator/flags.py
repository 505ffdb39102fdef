"""The server's command line as one vLLM release accepts it.

A flag that the release has not yet, or no longer, or never had ends the process with exit code 2 and argparse's last
line, as in vLLM (FlexibleArgumentParser, vllm/utils/argparse_utils.py). The table is slmfleet/engine/flags.json.
"""

import argparse
import importlib.resources
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from slmfleet.engine.version import EngineVersion

from . import values

PROG: Final = "api_server.py"
_NAME: Final = re.compile(r"(?<=--)[^.]*")
_LEVELS: Final = ("0", "1", "2", "3")


def flag_table() -> dict[str, Any]:
    """The flags of vLLM with the releases that know them."""
    text = (importlib.resources.files("slmfleet") / "engine" / "flags.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def parse(argv: Sequence[str], version: EngineVersion, table: dict[str, Any] | None = None) -> argparse.Namespace:
    """The flags in `argv` as attributes (dashes become underscores; None where not given).

    Prints usage and the error on stderr and raises SystemExit(2) where the release would.
    """
    table = table or flag_table()
    parser = argparse.ArgumentParser(prog=PROG, description="vLLM OpenAI-Compatible RESTful API server.")
    # The module's parser shares this positional with `vllm serve`: it swallows one stray word without a complaint,
    # so "--swap-space 4" is reported as "unrecognized arguments: --swap-space" and "--enforce-eager False" passes.
    parser.add_argument("model_tag", type=str, nargs="?")
    for row in table["flags"]:
        if _accepted(row, version, table["inspected"]):
            _add(parser, row, version)
    return parser.parse_args(normalized(argv))


def _accepted(row: dict[str, Any], version: EngineVersion, inspected: Sequence[str]) -> bool:
    since, until = row.get("since"), row.get("until")
    if since is not None and version < EngineVersion.parse(since):
        return False
    if until is None:
        return True
    last = EngineVersion.parse(until)
    # Patch releases between two inspected ones were not read; vLLM removes flags in minor releases.
    later = [release for release in map(EngineVersion.parse, inspected) if release > last]
    return not later or version < min(later)


def _add(parser: argparse.ArgumentParser, row: dict[str, Any], version: EngineVersion) -> None:
    names = [row["flag"]] + [
        alias
        for alias, since in row.get("aliases", {}).items()
        if since is None or version >= EngineVersion.parse(since)
    ]
    if row["kind"] == "bool-pair":
        parser.add_argument(*names, action=argparse.BooleanOptionalAction, default=None)
        return
    if row["kind"] == "bool":
        parser.add_argument(*names, action="store_true", default=None)
        return
    convert = values.BY_NAME[row["type"]]
    parser.add_argument(
        *names,
        action="append" if row.get("repeat") else "store",
        type=values.optional(convert) if row.get("optional") else convert,
        choices=_choices(row, convert, version),
        **({"nargs": row["nargs"]} if "nargs" in row else {}),
    )


def _choices(row: dict[str, Any], convert: values.Converter, version: EngineVersion) -> list[Any] | None:
    if "choices" not in row:
        return None
    since = row.get("choiceSince", {})
    known = (c for c in row["choices"] if c not in since or version >= EngineVersion.parse(since[c]))
    return [None if choice == "None" else convert(choice) for choice in known]


def normalized(argv: Sequence[str]) -> list[str]:
    """`argv` as vLLM rewrites it for argparse: underscores in names, -O<level>, and --config.key value as JSON."""
    words: list[str] = []
    for at, word in enumerate(argv):
        following = argv[at + 1] if at + 1 < len(argv) else None
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            words.append(_NAME.sub(lambda match: match.group(0).replace("_", "-"), name, count=1) + equals + value)
        elif word.startswith("-O") and word != "-O":
            words += ["--optimization-level", word[3:] if word[2] == "=" else word[2:]]
        elif word == "-O" and following in _LEVELS:
            words.append("--optimization-level")
        else:
            words.append(word)
    return _dotted_to_json(words)


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
