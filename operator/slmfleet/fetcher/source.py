"""Where an adapter comes from: the forms of its URI, and what a source has to be able to do."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from .errors import FetchError

SCHEMES = ("hf", "s3", "gs")
MAX_LISTED = 10_000
"""Names that are read of a source before it is refused; an adapter has some ten."""

_URI = re.compile(r"(?P<scheme>[a-z][a-z0-9]*)://(?P<place>[A-Za-z0-9][A-Za-z0-9._-]{0,254})(?P<path>(?:/[^/]+)*)/?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}")


@dataclass(frozen=True)
class Location:
    """A parsed URI."""

    scheme: str
    place: str
    """Bucket, or owner/name of a repository of the hub."""
    folder: str
    """Within the place; empty for its top."""
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.place}{f'/{self.folder}' if self.folder else ''}"


@dataclass(frozen=True)
class Entry:
    """One file of a source."""

    name: str
    """Relative to the folder."""
    size: int
    """Bytes, as the source says."""


class Source(Protocol):
    """A folder somewhere else. What its methods raise are FetchErrors."""

    def entries(self) -> Iterator[Entry]:
        """All files, those of folders below too."""

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The content of a file, piece by piece."""


def parse(uri: str, revision: str | None = None) -> Location:
    """The location that `uri` names. Raises FetchError."""
    match = _URI.fullmatch(uri)
    if match is None or match["scheme"] not in SCHEMES:
        raise FetchError(
            "InvalidSource",
            f'"{uri[:200]}" is no source: use hf://owner/name[/folder], s3://bucket/folder or gs://bucket/folder',
        )
    scheme, place, parts = match["scheme"], match["place"], match["path"].split("/")[1:]
    if any(part in (".", "..") for part in parts) or not uri.isprintable() or "\\" in uri:
        raise FetchError("InvalidSource", f'"{uri[:200]}" has parts that no folder is named')
    if scheme == "hf":
        if not parts:
            raise FetchError("InvalidSource", f'"{uri[:200]}" names no repository: it is hf://owner/name')
        place, parts = f"{place}/{parts[0]}", parts[1:]
    if revision is not None and scheme != "hf":
        raise FetchError("InvalidSource", f"a revision goes with hf:// sources only, not with {scheme}://: remove it")
    if revision is not None and not _REVISION.fullmatch(revision):
        raise FetchError("InvalidSource", f'revision "{revision[:100]}" is no commit, tag or branch')
    return Location(scheme, place, "/".join(parts), revision)
