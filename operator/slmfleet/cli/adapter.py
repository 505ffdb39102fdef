"""What `slmfleet adapter` says: a folder as a fetch would bring it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from slmfleet.fetcher.errors import FetchError
from slmfleet.fetcher.names import Selection, select
from slmfleet.guard.adapter_files import digest, inspect
from slmfleet.guard.adapter_tensors import Facts, InvalidAdapterError


class AdapterError(Exception):
    """A folder that would be refused; the text begins with the reason that the LoRAAdapter would show."""


def digest_of(folder: str) -> tuple[str, tuple[str, ...]]:
    """The digest of the files that a fetch takes, and the names of those that it leaves out. Raises AdapterError."""
    with _selected(folder) as (selection, links):
        return digest(links, _EVERYWHERE), selection.left


def facts_of(folder: str) -> Facts:
    """The facts of the adapter, with its digest. Raises AdapterError."""
    with _selected(folder) as (_, links):
        return {"digest": digest(links, _EVERYWHERE), **inspect(links, _EVERYWHERE)}


_EVERYWHERE = Path("/")
"""Where links may lead: the folder is the user's own, and the hub's cache is made of links."""


@contextmanager
def _selected(folder: str) -> Iterator[tuple[Selection, Path]]:
    """The selection, and a folder of links to its files alone."""
    top = Path(folder)
    try:
        names = [str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir()]
        selection = select(names, folder)
        with TemporaryDirectory(prefix="slmfleet-") as made:
            for name in selection.taken:
                Path(made, name).symlink_to((top / name).resolve())
            yield selection, Path(made)
    except (FetchError, InvalidAdapterError) as error:
        raise AdapterError(f"{error.reason}: {error}") from None
