"""Files through which the guard knows the operator and tells the pod's preStop hook what runs."""

from __future__ import annotations

import fcntl
import hmac
import os
from collections.abc import Callable
from pathlib import Path

TOKEN_SECONDS = 1.0


class Token:
    """The operator's token, read again when its file changes."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._next = float("-inf")
        self._seen: tuple[int, int] = (0, 0)
        self._token = b""

    def matches(self, offered: bytes) -> bool:
        """Whether this is the token; never while there is none. Raises OSError when its file cannot be read."""
        now = self._clock()
        if now >= self._next:
            found = self._path.stat()
            if (found.st_ino, found.st_mtime_ns) != self._seen:
                self._token = self._path.read_bytes().strip()
                self._seen = (found.st_ino, found.st_mtime_ns)
            self._next = now + TOKEN_SECONDS
        return bool(self._token) and hmac.compare_digest(offered, self._token)


class Busy:
    """Holds a shared lock on a file while requests run, in each process of the server: drain.py waits for all."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the file cannot be made."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._locked = False
        self._running = 0

    def __enter__(self) -> None:
        self._running += 1
        if not self._locked:
            self._locked = self._flock(fcntl.LOCK_SH | fcntl.LOCK_NB)

    def __exit__(self, *_: object) -> None:
        self._running -= 1
        if self._running == 0 and self._locked:
            self._locked = not self._flock(fcntl.LOCK_UN)

    def _flock(self, operation: int) -> bool:
        try:
            fcntl.flock(self._file, operation)
        except OSError:  # drain.py looks at this very moment: the next request tries again
            return False
        return True
