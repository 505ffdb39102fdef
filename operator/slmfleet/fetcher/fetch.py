"""One fetch, from the list of a source's files to the adapter under its digest."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slmfleet.guard.adapter_files import digest, inspect
from slmfleet.guard.adapter_tensors import Facts, InvalidAdapterError

from .errors import FetchError
from .names import select
from .source import Entry, Source
from .volume import Volume, write

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class Progress(Protocol):
    """Where a fetch says how far it is."""

    def say(self, line: str) -> None:
        """A line for the log."""

    def arrived(self, done: int, total: int) -> None:
        """Bytes so far, of those that the source announced."""


@dataclass(frozen=True)
class Order:
    """What to fetch."""

    where: str
    """The source, for messages."""
    digest: str | None
    """`sha256:` and 64 hex digits, where the manifest has one."""
    max_bytes: int


def fetch(order: Order, source: Source, volume: Volume, progress: Progress) -> Facts:
    """Fetch, verify and publish; returns the facts with the digest. Raises FetchError."""
    if order.digest is None:
        with volume.part() as files:
            _download(order, source, files, progress)
            return _published(order, files, volume)
    digits = digits_of(order.digest)
    with volume.only_one(digits):
        if (finished := volume.finished(digits)) is not None:
            progress.say(f"{finished} is there already and has the digest")
            return _facts(finished, order.digest)
        with volume.part() as files:
            _download(order, source, files, progress)
            return _published(order, files, volume)


def digits_of(text: str) -> str:
    """The 64 hex digits of a digest. Raises FetchError."""
    match = _DIGEST.fullmatch(text)
    if match is None:
        advice = "it is sha256: and 64 hex digits, as `slmfleet adapter digest` prints it"
        raise FetchError("InvalidSource", f'"{text[:100]}" is no digest: {advice}')
    return match[1]


def _download(order: Order, source: Source, files: Path, progress: Progress) -> None:
    entries = {entry.name: entry for entry in source.entries()}
    selection = select(entries, order.where)
    if selection.left:
        shown = ", ".join(selection.left[:10]) + (", …" if len(selection.left) > 10 else "")
        progress.say(f"left out, since no adapter needs them: {shown}")
    taken = [entries[name] for name in selection.taken]
    total = sum(entry.size for entry in taken)
    if total > order.max_bytes:
        raise _too_large(order, total)
    progress.say(f"fetching {len(taken)} files, {total} bytes, from {order.where}")
    done = 0
    for entry in taken:
        for_this = _counted(order, source, entry, done, total, progress)
        write(files / entry.name, for_this)
        done += entry.size


def _counted(
    order: Order, source: Source, entry: Entry, before: int, total: int, progress: Progress
) -> Iterator[bytes]:
    """A file's content, which must have the size that the list said: more is not read, so the bound on all holds."""
    size = 0
    for chunk in source.read(entry):
        size += len(chunk)
        if size > entry.size:
            break
        progress.arrived(before + size, total)
        yield chunk
    if size != entry.size:
        told = f"{entry.name} has another size than the list of {order.where} says ({entry.size} bytes)"
        raise FetchError("Unreachable", f"{told}: it changed while it was read, or was cut off", again=True)


def _too_large(order: Order, size: int) -> FetchError:
    return FetchError(
        "TooLarge",
        f"{order.where} has {size} bytes or more, and spec.source.maxSize is {order.max_bytes}: is it a whole model?",
    )


def _published(order: Order, files: Path, volume: Volume) -> Facts:
    try:
        found = digest(files)
    except InvalidAdapterError as error:
        raise FetchError(error.reason, f"{order.where}: {error}") from error
    if order.digest is not None and found != order.digest:
        raise FetchError(
            "DigestMismatch",
            f"{order.where} has the digest {found}, and spec.source.digest is {order.digest}: the files are others "
            "than were meant, or the field is to be updated",
        )
    facts = _facts(files, found, order.where)
    volume.publish(files, digits_of(found))
    return facts


def _facts(folder: Path, found: str, where: str | None = None) -> Facts:
    try:
        return {"digest": found, **inspect(folder)}
    except InvalidAdapterError as error:
        raise FetchError(error.reason, f"{where or folder}: {error}") from error
