"""resolve(): from spec, release and platform to the engine's arguments, its environment and what else its pod needs."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from slmfleet.api.engine_flags import FIELD_FLAGS, RESERVED_FLAGS

from .arguments.features import features
from .arguments.memory import memory
from .arguments.scheduling import scheduling
from .arguments.serving import serving
from .arguments.weights import weights
from .extra_args import FIELD as EXTRA
from .extra_args import check_extra_args
from .resolution import (
    Adjustment,
    Argument,
    Doubt,
    HostMemory,
    Item,
    MountedFile,
    Problem,
    Remark,
    Request,
    Resolution,
    Variable,
)

Kind = TypeVar("Kind", bound=Item)
_NUMBER: Final = re.compile(r"-[0-9.]")
NOT_EXTRA: Final = RESERVED_FLAGS | {flag: f"set spec.engine.{field} instead" for flag, field in FIELD_FLAGS.items()}
"""What has no place in extraArgs, and what to do instead."""


def extra(r: Request) -> Iterator[Item]:
    """`spec.engine.extraArgs`, after everything else and as written, one item for each flag and its values."""
    groups: list[list[str]] = []
    for word in r.engine.extra_args or ():
        if not groups or (word.startswith("-") and not _NUMBER.match(word)):
            groups.append([])
        groups[-1].append(word)
    yield from (Argument(tuple(group), EXTRA) for group in groups)
    own_image = r.engine.image is not None
    for found in check_extra_args(r.engine.extra_args or [], r.flags, NOT_EXTRA, plugins=own_image):
        yield from found


SUBJECTS: Final[tuple[Callable[[Request], Iterable[Item]], ...]] = (
    weights,
    memory,
    scheduling,
    features,
    serving,
    extra,
)


def resolve(request: Request) -> Resolution:
    """What the engine of one replica gets, and everything that is to be said about it."""
    items = [item for subject in SUBJECTS for item in subject(request)]
    return Resolution(
        release=request.engine.version,
        unknown=_unknown(request),
        arguments=_only(Argument, items),
        variables=_only(Variable, items),
        host_memory=_only(HostMemory, items),
        files=_only(MountedFile, items),
        adjustments=_only(Adjustment, items),
        problems=_only(Problem, items),
        doubts=_only(Doubt, items),
        remarks=_only(Remark, items),
    )


def _only(kind: type[Kind], items: Iterable[Item]) -> tuple[Kind, ...]:
    return tuple(item for item in items if isinstance(item, kind))


def _unknown(r: Request) -> str:
    if r.flags.complete:
        return ""
    known, newest = r.flags.release, "" if r.flags.known else ", the newest one"
    return f"vLLM {r.engine.version} is not among the known releases: it gets the flags of {known}{newest}"
