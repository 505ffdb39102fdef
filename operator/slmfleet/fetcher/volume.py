"""The volume: a folder with one immutable folder per digest.

What a fetch has not finished is under another name and is gone afterwards, whichever way the fetch ends; what a killed
one left the next one removes. A rename makes an adapter appear whole or not at all.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from slmfleet.guard.adapter_files import digest
from slmfleet.guard.adapter_tensors import InvalidAdapterError

from .errors import FetchError

FILE_MODE = 0o644
FOLDER_MODE = 0o755
"""The engines read under another uid than the one that writes."""
PART = ".part-"

Say = Callable[[str], None]


class Volume:
    """The folder `root`, which several fetches may write to at once."""

    def __init__(self, root: Path, say: Say) -> None:
        if not root.is_dir():
            raise FetchError("VolumeError", f"{root} is no folder: the claim is not mounted there")
        self._root = root
        self._say = say

    def target(self, digits: str) -> Path:
        """Where the adapter with this digest is or will be."""
        return self._root / digits

    def finished(self, digits: str) -> Path | None:
        """The target if it is there, after its content was read again. Raises FetchError when it is another."""
        target = self.target(digits)
        if not target.exists() and not target.is_symlink():
            return None
        advice = "remove it once no engine lists it"
        if target.is_symlink() or not target.is_dir():
            raise FetchError("TargetDamaged", f"{target} is not a folder: {advice}")
        try:
            found = digest(target)
        except InvalidAdapterError as error:
            raise FetchError("TargetDamaged", f"{target} cannot be used: {error}; {advice}") from error
        if found != f"sha256:{digits}":
            raise FetchError("TargetDamaged", f"{target} has the content {found}: {advice}")
        return target

    @contextmanager
    def only_one(self, digits: str) -> Iterator[None]:
        """Wait for other fetches of the same digest. It saves the second download; the rename is what protects."""
        with self._lock(f".lock-{digits}", "waiting for another fetch of the same digest"):
            yield

    @contextmanager
    def part(self) -> Iterator[Path]:
        """An empty folder to write files to, which is gone in the end unless it was published."""
        with self._lock(".lock", "waiting for another fetch to begin"):
            self._sweep()
            part = self._root / f"{PART}{secrets.token_hex(8)}"
            with _volume_errors(self._root):
                part.mkdir(mode=FOLDER_MODE)
                held = os.open(part / "lock", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            _try_lock(held)
        try:
            files = part / "files"
            with _volume_errors(self._root):
                files.mkdir()
                files.chmod(FOLDER_MODE)
            yield files
        finally:
            shutil.rmtree(part, ignore_errors=True)
            os.close(held)

    def publish(self, files: Path, digits: str) -> Path:
        """Move a part to its target. Where another fetch was faster its result counts, after it was verified."""
        target = self.target(digits)
        with _volume_errors(self._root):
            _sync(files)
            try:
                files.rename(target)
            except OSError:
                if (finished := self.finished(digits)) is None:
                    raise
                return finished
            _sync(self._root)
        return target

    def _sweep(self) -> None:
        """Remove the parts whose fetch was killed: nobody holds their lock."""
        for part in self._root.glob(f"{PART}*"):
            try:
                held = os.open(part / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                continue  # being made or removed
            try:
                if _try_lock(held):
                    self._say(f"removing {part.name}, which a killed fetch left")
                    shutil.rmtree(part, ignore_errors=True)
            finally:
                os.close(held)

    @contextmanager
    def _lock(self, name: str, waiting: str) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with _volume_errors(self._root):
            held = os.open(self._root / name, flags, FILE_MODE)
        try:
            if not _try_lock(held):
                self._say(waiting)
                try:
                    fcntl.flock(held, fcntl.LOCK_EX)
                except OSError:
                    self._say("this volume has no locks: going on without")
            yield
        finally:
            os.close(held)


def write(path: Path, chunks: Iterator[bytes]) -> None:
    """A new file with these bytes, on the disk when this returns. Raises FetchError."""
    with _volume_errors(path.parent):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        for chunk in chunks:
            with _volume_errors(path.parent):
                file.write(chunk)
        with _volume_errors(path.parent):
            file.flush()
            os.fchmod(handle, FILE_MODE)
            os.fsync(handle)


@contextmanager
def _volume_errors(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot write to {where}: {error.strerror or error}"
        raise FetchError("VolumeError", message, again=True) from error


def _try_lock(held: int) -> bool:
    """Whether it is ours; not where another has it and not where the file system knows no locks."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
