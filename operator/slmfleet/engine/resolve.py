"""resolve(): from spec, release and platform to the engine's arguments, its environment and what else its pod needs."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from .arguments.memory import memory
from .arguments.serving import serving
from .arguments.weights import weights
from .resolution import Adjustment, Argument, Doubt, Item, Problem, Request, Resolution, Variable

Kind = TypeVar("Kind", bound=Item)


def extra(r: Request) -> Iterator[Item]:
    """`spec.engine.extraArgs`, after everything else and as written."""
    if r.engine.extra_args:
        yield Argument(tuple(r.engine.extra_args), "spec.engine.extraArgs")


SUBJECTS: Final[tuple[Callable[[Request], Iterable[Item]], ...]] = (weights, memory, serving, extra)


def resolve(request: Request) -> Resolution:
    """What the engine of one replica gets, and everything that is to be said about it."""
    items = [item for subject in SUBJECTS for item in subject(request)]
    return Resolution(
        release=request.engine.version,
        unknown="",
        arguments=_only(Argument, items),
        variables=_only(Variable, items),
        adjustments=_only(Adjustment, items),
        problems=_only(Problem, items),
        doubts=_only(Doubt, items),
    )


def _only(kind: type[Kind], items: Iterable[Item]) -> tuple[Kind, ...]:
    return tuple(item for item in items if isinstance(item, kind))
