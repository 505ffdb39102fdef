"""How a wish becomes an option of the command line, if the release has it and takes its value."""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Final

from slmfleet.engine.flags import Flags, FlagTable
from slmfleet.engine.releases import Span
from slmfleet.engine.resolution import Argument, Doubt, Item, Origin, Problem, Request

ENGINE: Final = "spec.engine"
SHOWN: Final = 12
"""Values that a message lists."""


def option(
    r: Request, flag: str, *values: object, field: str, origin: Origin = Origin.USER, why: str = ""
) -> Iterator[Item]:
    """A flag and its values; a Problem where the release lacks the flag or would refuse a value.

    Values that only a registry of vLLM's lists may be known to a plug-in in the user's own image.
    """
    found = r.flags.find(flag)
    if found is None:
        yield lacking(r, flag, field, " ".join(map(str, values)))
        return
    words = [str(value) for value in values]
    known = words_of(r.flags, flag)
    for word in words:
        if known is not None and word not in known:
            problem = unknown_value(r, field, word, known, releases_with(flag, word))
            if r.engine.image is None or found.choices is not None:
                yield problem
                return
            yield Doubt(field, f"{word} {problem.reason}, but perhaps to spec.engine.image; if not: {problem.fix}")
        if known is None and _listed_elsewhere(flag) and not releases_with(flag, word):
            yield Doubt(field, f"{word} is no value of {flag} that is known, but vLLM {r.engine.version} takes any")
    yield Argument((flag, *words), field, origin, why)


def switch(r: Request, flag: str, on: bool | None, *, field: str) -> Iterator[Item]:
    """--x or --no-x; nothing for None, nor for a false that has no word because it is the default."""
    if on is None:
        return
    found = r.flags.find(flag)
    if found is None:
        yield lacking(r, flag, field, str(on).lower())
    elif on:
        yield Argument((flag,), field)
    elif found.kind == "bool-pair":
        yield Argument((f"--no-{flag.removeprefix('--')}",), field)


def lacking(r: Request, flag: str, field: str, value: str) -> Problem:
    """The release has no such flag, and the user would not want to do without."""
    return Problem(
        field, value, f"cannot be said: {absent(r, flag)}", "remove it, or change spec.engine.version", removed=True
    )


def absent(r: Request, flag: str) -> str:
    """That the release lacks a flag, and which ones have it."""
    spans = FlagTable.load().spans(flag)
    told = " and ".join(map(str, spans))
    return f"vLLM {r.engine.version} has no {flag}" + (f" ({told} have it)" if told else "")


def words_of(flags: Flags, flag: str) -> list[str] | None:
    """The values that a flag takes, where they can be listed."""
    words = flags.values(flag)
    return None if words is None else [str(word) for word in words]


@cache
def _listed_elsewhere(flag: str) -> bool:
    table = FlagTable.load()
    return any(words_of(table.for_version(version), flag) is not None for version in table.releases)


@lru_cache(maxsize=1024)
def releases_with(flag: str, value: str) -> Span | None:
    """The releases that name a value of a flag."""
    table = FlagTable.load()
    known = [words_of(table.for_version(version), flag) for version in table.releases]
    naming = [at for at, words in enumerate(known) if words is not None and value in words]
    if not naming:
        return None
    # A release that takes any value takes this one as well.
    still = all(words is None for words in known[naming[-1] + 1 :])
    return Span(str(table.releases[naming[0]]), None if still else str(table.releases[naming[-1]]))


def unknown_value(r: Request, field: str, value: str, known: list[str], elsewhere: Span | None) -> Problem:
    """The release does not know a word; `elsewhere` are the releases that do."""
    close = get_close_matches(value, known, n=1)
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    fix = f"did you mean {close[0]}?" if close else f"use one of {', '.join(known[:SHOWN])}{more}"
    if elsewhere is not None:
        reason = f"is not known to vLLM {r.engine.version} ({elsewhere} know it)"
        fix = f"change spec.engine.version, or {fix}"
    else:
        reason = f"is not known to vLLM {r.engine.version}"
    return Problem(field, value, reason, fix, removed=elsewhere is not None)
