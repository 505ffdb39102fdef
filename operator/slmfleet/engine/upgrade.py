"""What another release of the engine changes for one spec."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from slmfleet.api.engine_flags import FIELD_FLAGS

from .flags import option_name
from .resolution import Adjustment, Argument, Problem, Request, Resolution, Variable
from .resolve import resolve


@dataclass(frozen=True)
class Change:
    """An argument or variable that differs; None where one of the releases does not get it."""

    name: str
    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class NewDefault:
    """A flag that the spec leaves alone and whose default differs."""

    flag: str
    field: str | None
    """The field of spec.engine that would keep the old value, if there is one."""
    before: Any
    after: Any


@dataclass(frozen=True)
class Upgrade:
    """The differences between two releases."""

    arguments: tuple[Change, ...]
    variables: tuple[Change, ...]
    adjustments: tuple[Adjustment, ...]
    """Those of the second release that the first did not need."""
    problems: tuple[Problem, ...]
    """Those of the second release that the first did not have."""
    defaults: tuple[NewDefault, ...]


def upgrade(before: Request, after: Request) -> Upgrade:
    """From one release to another, everything else the same."""
    old, new = resolve(before), resolve(after)
    known = {(p.field, p.value) for p in old.problems}
    left_out = {(a.field, a.flag) for a in old.adjustments}
    return Upgrade(
        arguments=_changes(_arguments(old), _arguments(new)),
        variables=_changes(_variables(old), _variables(new)),
        adjustments=tuple(a for a in new.adjustments if (a.field, a.flag) not in left_out),
        problems=tuple(p for p in new.problems if (p.field, p.value) not in known),
        defaults=tuple(_defaults(before, after, new)),
    )


def _arguments(resolution: Resolution) -> Mapping[str, tuple[str, str]]:
    return {option_name(a.words[0]): (value(a), a.field) for a in resolution.arguments}


def value(argument: Argument) -> str:
    """What an option is set to, as one text."""
    _, equals, inline = argument.words[0].partition("=")
    return " ".join([inline, *argument.words[1:]] if equals else argument.words[1:])


def _variables(resolution: Resolution) -> Mapping[str, tuple[str, str]]:
    return {v.name: (shown(v), v.field) for v in resolution.variables}


def shown(variable: Variable) -> str:
    """A variable's value, or where it is read from; never what is in a Secret."""
    if variable.secret is None:
        return variable.value or ""
    return f"key {variable.secret.key} of Secret {variable.secret.name}"


def _changes(old: Mapping[str, tuple[str, str]], new: Mapping[str, tuple[str, str]]) -> tuple[Change, ...]:
    return tuple(
        Change(name, (new.get(name) or old[name])[1], _text(old.get(name)), _text(new.get(name)))
        for name in [*old, *(name for name in new if name not in old)]
        if _text(old.get(name)) != _text(new.get(name))
    )


def _text(entry: tuple[str, str] | None) -> str | None:
    return None if entry is None else entry[0]


def _defaults(before: Request, after: Request, new: Resolution) -> Iterable[NewDefault]:
    written = {found.name for a in new.arguments if (found := after.flags.find(a.words[0])) is not None}
    for flag in after.flags:
        old = before.flags.find(flag.name)
        if old is None or flag.name in written or old.default == flag.default:
            continue
        field = FIELD_FLAGS.get(flag.name)
        yield NewDefault(flag.name, f"spec.engine.{field}" if field else None, old.default, flag.default)
