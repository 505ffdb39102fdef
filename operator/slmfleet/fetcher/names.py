"""Which files of a folder are the adapter's, by name: all that a fetch takes, and all that its digest covers.

vLLM reads adapter_config.json and the weights at the top of an adapter's folder and nothing below it
(vllm/lora/peft_helper.py, lora_model.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from slmfleet.guard.adapter_files import CONFIG, MAX_FILES, PICKLES, WEIGHTS

from .errors import FetchError

SUFFIXES = frozenset({".jinja", ".json", ".md", ".safetensors", ".txt"})
LEFTOVERS = ("optimizer.", "rng_state", "scaler.", "scheduler.", "training_args.")
"""Beginnings of the pickles that trainers write beside the weights (transformers/trainer.py): never fetched."""


@dataclass(frozen=True)
class Selection:
    """The names that make up the adapter, and those beside them that it does not need."""

    taken: tuple[str, ...]
    left: tuple[str, ...]


def select(names: Iterable[str], where: str) -> Selection:
    """Sort the names of files, relative to the adapter's folder `where`. Raises FetchError.

    Unsafe names and pickles of weights refuse the whole adapter: somebody meant them to be there.
    """
    taken: list[str] = []
    left: list[str] = []
    for name in names:
        _refuse_unsafe(name, where)
        (taken if _belongs(name, where) else left).append(name)
    _refuse_incomplete(taken, left, where)
    if len(taken) > MAX_FILES:
        raise FetchError("TooLarge", f"{where} has more than {MAX_FILES} files: point at the adapter's own folder")
    return Selection(tuple(sorted(taken)), tuple(sorted(left)))


def _refuse_unsafe(name: str, where: str) -> None:
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name or not name.isprintable():
        raise FetchError("UnsafeFile", f"{where} has a file named {name[:200]!r}, which no adapter needs: remove it")
    if len(name.encode(errors="replace")) > 255 * len(parts):
        raise FetchError("UnsafeFile", f"{where} has a file whose name is too long: {name[:60]!r}…")


def _belongs(name: str, where: str) -> bool:
    path = PurePosixPath(name)
    if len(path.parts) > 1 or name.startswith("."):
        return False
    if path.suffix.lower() in PICKLES and not name.startswith(LEFTOVERS):
        raise FetchError(
            "PickleRefused",
            f"{name} in {where} is a pickle, which runs code when it is read: convert the weights to {WEIGHTS} and "
            "remove it",
        )
    return path.suffix.lower() in SUFFIXES


def _refuse_incomplete(taken: list[str], left: list[str], where: str) -> None:
    for needed in (CONFIG, WEIGHTS):
        if needed in taken:
            continue
        below = sorted({name.rpartition("/")[0] for name in left if name.endswith(f"/{needed}")})
        hint = f"; there is one in {', '.join(below[:5])}: name that folder" if below else ""
        raise FetchError("NotFound", f"there is no {needed} in {where}{hint}")
