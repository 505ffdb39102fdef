"""The options of every supported vLLM release's server, as read from the parser that the release itself builds.

flags.json beside this file is generated (`make flags`); a row of it is one option with what it takes, for a range of
releases. An option that changed what it takes has several rows.
"""

import importlib.resources
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, Literal

from .releases import Releases, Span
from .version import EngineVersion

Kind = Literal["value", "bool", "bool-pair"]
"""Takes a value; stands alone; stands alone and has an opposite, --no-x."""
Values = tuple[str | int | None, ...]
LEVEL: Final = "-O"
"""-O3: vLLM itself turns it into --optimization-level 3, before 0.12 into a level of --compilation-config."""
SIMILAR: Final = 0.7
"""How alike a suggestion must be: a wrong one sends its reader astray."""


@dataclass(frozen=True)
class Flag:
    """One option of one release."""

    name: str
    """The first long spelling."""
    aliases: tuple[str, ...] = ()
    kind: Kind = "value"
    type: str = "str"
    """str, int, float, json or another key of values.BY_NAME."""
    optional: bool = False
    """Whether '' and 'None' stand for no value."""
    nargs: int | str | None = None
    """As in argparse: '+' takes several values, '?' may do without one."""
    repeat: bool = False
    """Whether the option may be given several times, each adding a value."""
    choices: Values | None = None
    """All values that the parser takes; None where any is, or where they depend on the platform."""
    default: Any = None
    """The parser's; None where vLLM decides later, or where it depends on the platform."""
    inverse: tuple[str, ...] = ()
    """Opposites besides --no-x: --disable-x of --enable-x."""
    deprecated: bool = False

    @property
    def spellings(self) -> tuple[str, ...]:
        """All that turn it on or give it a value, the name first."""
        return (self.name, *self.aliases)

    @property
    def negations(self) -> tuple[str, ...]:
        """All that turn it off."""
        if self.kind != "bool-pair":
            return ()
        return (*(f"--no-{long[2:]}" for long in self.spellings if long.startswith("--")), *self.inverse)

    def negated_by(self, word: str) -> bool:
        """Whether a word of the command line turns it off."""
        return option_name(word) in self.negations


class Flags:
    """The options of one release."""

    def __init__(
        self,
        release: str,
        flags: Sequence[Flag],
        *,
        known: bool,
        complete: bool,
        values: Mapping[str, Values],
        spans: Callable[[str], tuple[Span, ...]],
    ) -> None:
        self.release = release
        """The release that was read."""
        self.known = known
        """False where the release asked for is outside the table and this is its nearest."""
        self.complete = complete
        """Whether what is not here is certainly no option of the release that was asked for."""
        self.spans = spans
        """When an option was there, by any spelling that it ever had; empty for one that never was."""
        self._flags = tuple(flags)
        self._values = values
        self._by_spelling = {word: flag for flag in flags for word in (*flag.spellings, *flag.negations)}

    def __iter__(self) -> Iterator[Flag]:
        return iter(self._flags)

    def __len__(self) -> int:
        return len(self._flags)

    def find(self, word: str) -> Flag | None:
        """The option that a word of the command line names: --x, --x=1, --x_y, --no-x, -x, --x.key, -O3.

        No abbreviations: argparse takes them, but the next release can make them ambiguous.
        """
        found = self._by_spelling.get(option_name(word))
        if found is None and word.startswith(f"{LEVEL}."):
            # 0.12 alone took -O.key for -cc.key, on its way out.
            return self._by_spelling["--compilation-config"] if self.release == "0.12.0" else None
        if found is None and word.startswith(LEVEL):
            return self._by_spelling.get(LEVEL) or self._by_spelling.get("--optimization-level")
        return found

    def values(self, name: str) -> Values | None:
        """All values that vLLM takes for an option, as the parser converts them; None where they are not a list.

        Those that the parser has no choices for are what vLLM brings along: plug-ins in an image can add to them.
        """
        flag = self.find(name)
        if flag is None or flag.choices is None:
            return None if flag is None else self._values.get(flag.name)
        # vLLM lists "None" where there may be no value, and argparse then misses it: it compares what was converted.
        return tuple(choice for choice in flag.choices if not (flag.optional and choice == "None"))

    def starting_with(self, name: str) -> tuple[str, ...]:
        """The spellings that a word abbreviates, as argparse lets it."""
        return tuple(spelling for spelling in self._by_spelling if spelling.startswith(name))

    def nearest(self, word: str) -> str | None:
        """The spelling that an unknown word is most like, or the one that it abbreviates."""
        name = option_name(word)
        longer = self.starting_with(name) if name.startswith("--") else ()
        return (
            longer[0]
            if len(longer) == 1
            else next(iter(get_close_matches(name, self._by_spelling, n=1, cutoff=SIMILAR)), None)
        )


class FlagTable:
    """The options of all releases."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._heads: Sequence[Mapping[str, Any]] = data["releases"]
        self._releases = Releases(self._heads)
        held = self._releases.held
        self._flags = [(held(row), flag_of(row)) for row in data["flags"]]
        self._values = [(held(row), row["flag"], tuple(row["values"])) for row in data["values"]]
        self.releases = self._releases.versions
        """Oldest first."""

    @classmethod
    @cache
    def load(cls) -> "FlagTable":
        """The one of this package."""
        text = (importlib.resources.files(__package__) / "flags.json").read_text(encoding="utf-8")
        return cls(json.loads(text))

    @property
    def oldest(self) -> str:
        """The first release of the table."""
        return self._releases.names[0]

    @property
    def newest(self) -> str:
        """The last release of the table."""
        return self._releases.names[-1]

    def for_version(self, version: EngineVersion) -> Flags:
        """The options of a release, of its candidates and post releases; else those of the newest that is not newer."""
        at = self._releases.place(version)
        head, release = self._heads[at], self.releases[at]
        flags = [flag for held, flag in self._flags if at in held]
        values = {name: known for held, name, known in self._values if at in held}
        exact = release.release == version.release and version.stage >= 0
        complete = exact and "incomplete" not in head
        return Flags(
            head["version"],
            flags,
            known=self._releases.covers(version),
            complete=complete,
            values=values,
            spans=self.spans,
        )

    def spans(self, name: str) -> tuple[Span, ...]:
        """When an option was there, by any spelling that it ever had; empty for one that never was."""
        word = option_name(name)
        held = {at for held, flag in self._flags if word in flag.spellings or word in flag.negations for at in held}
        return self._releases.spans(held)

    @property
    def names(self) -> frozenset[str]:
        """The names of all options of all releases."""
        return frozenset(flag.name for _, flag in self._flags)


def option_name(word: str) -> str:
    """A word of the command line as the parser looks it up: without =value and .key, with dashes for underscores."""
    name = word.partition("=")[0].partition(".")[0]
    return name.replace("_", "-") if name.startswith("--") else name


def flag_of(row: Mapping[str, Any]) -> Flag:
    """A row of the table, whatever releases it holds for."""
    choices = row.get("choices")
    return Flag(
        name=row["flag"],
        aliases=tuple(row.get("aliases", ())),
        kind=row["kind"],
        type=row.get("type", "str"),
        optional=row.get("optional", False),
        nargs=row.get("nargs"),
        repeat=row.get("repeat", False),
        choices=None if choices is None else tuple(choices),
        default=row.get("default"),
        inverse=tuple(row.get("inverse", ())),
        deprecated=row.get("deprecated", False),
    )
