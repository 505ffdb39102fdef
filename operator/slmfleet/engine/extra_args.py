"""spec.engine.extraArgs against the options of a release: what vLLM would refuse, said before there is a pod."""

import json
import re
from argparse import ArgumentTypeError
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Final

from .flags import LEVEL, Flag, Flags, option_name
from .resolution import Doubt, Problem
from .values import BY_NAME, optional

FIELD: Final = "spec.engine.extraArgs"
SUCCESSORS: Final[Mapping[str, str]] = {
    "--swap-space": "--kv-offloading-size",
    "--task": "--runner or --convert",
    "--disable-log-requests": "--no-enable-log-requests",
    "--rope-scaling": "--hf-overrides",
    "--rope-theta": "--hf-overrides",
    "--guided-decoding-backend": "--structured-outputs-config.backend",
    "--cuda-graph-sizes": "--cudagraph-capture-sizes",
    "--override-pooler-config": "--pooler-config",
}
"""What does the work of an option that is gone, where the names are not alike."""
KINDS: Final[Mapping[str, str]] = {
    "int": "a whole number",
    "float": "a number",
    "json": "JSON",
    "json-object": "a JSON object",
    "json-or-str": "a JSON object or plain text",
    "human-int": "a whole number, such as 4096 or 4K",
    "human-int-or-auto": "a whole number, such as 4096 or 4K, or auto",
    "lora-module": "name=path or a JSON object with name and path",
}
WITH_KEYS: Final = frozenset({"json", "json-object", "json-or-str"})
"""Types whose options can be given key by key: --x.key=value."""
YES: Final = frozenset({"true", "1", "yes", "on"})
NO: Final = frozenset({"false", "0", "no", "off"})
LEVELS: Final = frozenset("0123")
"""Of -O; where it is another option's spelling, it takes them beside that option's values."""
SHOWN: Final = 10
"""Values that a message lists, of those that would have been right."""
SHORTEST: Final = len("--mod")
"""How much of an operator's option counts as an abbreviation of it; the CRD's rules say the same."""
PLUGINS: Final[Mapping[str, str]] = {
    "--tool-call-parser": "--tool-parser-plugin",
    "--reasoning-parser": "--reasoning-parser-plugin",
}
"""Options whose values a file can add to, and the option that names it."""


@dataclass(frozen=True)
class _Finding:
    at: int
    value: str
    reason: str
    fix: str
    removed: bool = False
    open: bool = False
    """Whether an image may hold more than the release has by itself."""
    always: bool = False
    """Whether it holds for any release, known or not."""

    @property
    def problem(self) -> Problem:
        return Problem(f"{FIELD}[{self.at}]", self.value, self.reason, self.fix, self.removed)

    @property
    def doubt(self) -> Doubt:
        return Doubt(f"{FIELD}[{self.at}]", f"{self.value} {self.reason}; it is passed on unchecked")


@dataclass(frozen=True)
class _Item:
    """An option and the words after it up to the next one, each with its place."""

    at: int
    word: str
    following: list[tuple[int, str]]

    @property
    def written(self) -> str:
        """The option with its key, if it has one."""
        return self.word.partition("=")[0]

    @property
    def attached(self) -> str | None:
        """The value in the same word."""
        name, equals, value = self.word.partition("=")
        if name.startswith(LEVEL) and not name.startswith(f"{LEVEL}.") and name != LEVEL:
            return self.word.removeprefix(LEVEL).removeprefix("=")
        return value if equals else None


def check_extra_args(
    extra_args: Sequence[str], flags: Flags, reserved: Mapping[str, str], *, plugins: bool = False
) -> tuple[list[Problem], list[Doubt]]:
    """What the release would refuse or the operator writes itself, and what could not be checked.

    `reserved` has the operator's options and what to do instead of each. `plugins` says that the image may know more
    names of parsers, formats and quantization methods than the release. Where the release's list is not complete,
    everything but a reserved option is a doubt.
    """
    problems, doubts = [], []
    for finding in _findings(extra_args, flags, reserved):
        if finding.always or (flags.complete and not (finding.open and plugins)):
            problems.append(finding.problem)
        else:
            doubts.append(finding.doubt)
    return problems, doubts


def _findings(words: Sequence[str], flags: Flags, reserved: Mapping[str, str]) -> Iterator[_Finding]:
    first = next((at for at, word in enumerate(words) if _is_option(word)), len(words))
    yield from (_stray(at, words[at]) for at in range(first))
    given = {option_name(word) for word in words}
    for item in _items(words, first):
        flag = flags.find(item.word)
        operators = _reserved(item, flag, reserved)
        if operators is not None:
            # The value stays out of the message: it may be the secret that should not be there.
            yield _Finding(item.at, operators, "is not allowed", reserved[operators], always=True)
        elif flag is None:
            yield _unknown(item, flags)
        elif "." in item.written and flag.type not in WITH_KEYS:
            reason, fix = "has a key, and the option has none", f"write {option_name(item.word)} without it"
            yield _Finding(item.at, _quoted(item.written), reason, fix)
        elif flag.kind != "value":
            yield from _switch(item, flag)
        else:
            yield from _valued(item, flag, flags, open_list=PLUGINS.get(flag.name) in given)


def _items(words: Sequence[str], first: int) -> Iterator[_Item]:
    starts = [at for at in range(first, len(words)) if _is_option(words[at])]
    for at, end in pairwise([*starts, len(words)]):
        yield _Item(at, words[at], list(enumerate(words[at + 1 : end], at + 1)))


def _is_option(word: str) -> bool:
    """As argparse decides: a negative number or a text with a space is a value."""
    number = re.fullmatch(r"-\d+|-\d*\.\d+", word)
    return word.startswith("-") and word != "-" and not number and " " not in word.partition("=")[0]


def _stray(at: int, word: str) -> _Finding:
    return _Finding(at, _quoted(word), "belongs to no option", "remove it, or put the option that it is for before it")


def _reserved(item: _Item, flag: Flag | None, reserved: Mapping[str, str]) -> str | None:
    """The operator's option that an item is or abbreviates."""
    name = option_name(item.word)
    if flag is not None:
        return next((option for option in reserved if option in {name, *flag.spellings, *flag.negations}), None)
    short = (option for option in reserved if len(name) >= SHORTEST and option.startswith(name))
    return name if name in reserved else next(short, None)


def _unknown(item: _Item, flags: Flags) -> _Finding:
    name = option_name(item.word)
    if name == "--":
        return _Finding(item.at, _quoted(name), "makes words that belong to no option of all that follow", "remove it")
    longer = flags.starting_with(name) if name.startswith("--") else ()
    if len(longer) == 1:
        reason = f"is short for {longer[0]}, and in another release for something else or nothing"
        return _Finding(item.at, _quoted(name), reason, f"write {longer[0]}")
    if longer:
        return _Finding(item.at, _quoted(name), f"could be {_listed(longer)}", "write the one that is meant in full")
    spans, successor, nearest = flags.spans(name), SUCCESSORS.get(name), flags.nearest(name)
    if successor is not None:
        fix = f"use {successor} instead"
    elif nearest is not None:
        fix = f"did you mean {nearest}?"
    else:
        fix = "use a release that has it, or remove it" if spans else "remove it"
    elsewhere = f", only of {' and '.join(map(str, spans))}" if spans else ""
    reason = f"is no option of vLLM {flags.release}{elsewhere}"
    return _Finding(item.at, _quoted(name), reason, fix, removed=bool(spans))


def _switch(item: _Item, flag: Flag) -> Iterator[_Finding]:
    name = option_name(item.word)
    on = name not in flag.negations
    attached = [(item.at, item.attached)] if item.attached is not None else []
    for at, value in (*attached, *item.following):
        meant = on if value.lower() in YES else not on if value.lower() in NO else None
        if meant is None:
            fix = "remove the value"
        elif meant or flag.negations:
            fix = f"write {flag.name if meant else flag.negations[0]} alone"
        else:
            fix = f"leave {flag.name} out"
        yield _Finding(at, _quoted(value), f"is a value, and {name} takes none", fix)


def _valued(item: _Item, flag: Flag, flags: Flags, *, open_list: bool) -> Iterator[_Finding]:
    name, dotted = option_name(item.word), "." in item.written
    if item.attached is not None:
        taken = [(item.at, item.attached)]
    else:
        taken = item.following if flag.nargs == "+" and not dotted else item.following[:1]
    if not taken and flag.nargs != "?":
        yield _Finding(item.at, _quoted(item.written), "needs a value", "add it as the next item")
    for at, value in taken:
        if not (dotted or (name.startswith(LEVEL) and value in LEVELS)):
            yield from _value(at, value, flag, flags, open_list=open_list)
    yield from (_stray(at, word) for at, word in item.following if (at, word) not in taken)


def _value(at: int, value: str, flag: Flag, flags: Flags, *, open_list: bool) -> Iterator[_Finding]:
    convert = BY_NAME[flag.type]
    try:
        converted = (optional(convert) if flag.optional else convert)(value)
    except (ValueError, ArgumentTypeError):
        yield _Finding(at, _quoted(value), f"is not {KINDS[flag.type]}", f"give {flag.name} one")
        return
    known = flags.values(flag.name)
    nothing = converted is None and not flag.choices
    if known is None or converted in known or nothing or open_list:
        return
    names = [str(one) for one in known if one is not None]
    close = get_close_matches(value, names, n=1)
    fix = f"did you mean {close[0]}? It takes {_listed(names)}" if close else f"use {_listed(names)}"
    reason = f"is no value of {flag.name} in vLLM {flags.release}"
    yield _Finding(at, _quoted(value), reason, fix, open=flag.choices is None)


def _listed(values: Iterable[str]) -> str:
    every = list(values)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more


def _quoted(word: str) -> str:
    return json.dumps(word if len(word) <= 80 else f"{word[:79]}…", ensure_ascii=False)
