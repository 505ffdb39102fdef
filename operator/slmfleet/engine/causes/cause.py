"""A cause of a failed start, and the rows that find it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

Row = tuple[re.Pattern[str], str]
"""What vLLM says, and what to change in the manifest (empty where nothing general helps)."""


@dataclass(frozen=True)
class Cause:
    """What the engine said, and what to change in the manifest (empty where nothing general helps)."""

    message: str
    hint: str


def rows(*pairs: tuple[str, str]) -> tuple[Row, ...]:
    """Patterns and hints, in the order of their rank; ^ and $ are the ends of a line."""
    return tuple((re.compile(pattern, re.MULTILINE), hint) for pattern, hint in pairs)


def first_match(log: str, ranked: Iterable[Row]) -> tuple[str, str] | None:
    """What the first row that matches anywhere finds, and its hint."""
    found = ((pattern.search(log), hint) for pattern, hint in ranked)
    return next(((match.group(0), hint) for match, hint in found if match is not None), None)
