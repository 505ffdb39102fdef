"""Progress for a person at a terminal, and the error that is meant for one."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class ClusterError(Exception):
    """Something failed in a way that the reader can act on; the message says what, why and what to do."""


class Console:
    """Writes progress to stderr, so that stdout carries only what scripts read."""

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._quiet = quiet
        self._stream = stream or sys.stderr
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """One line, prefixed with the seconds since the start."""
        if not self._quiet:
            self._stream.write(f"{time.monotonic() - self._began:6.1f}s  {text}\n")
            self._stream.flush()

    def out(self, text: str) -> None:
        """A line of the answer itself, on stdout, also when quiet."""
        sys.stdout.write(f"{text}\n")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Say how long the block took once it is done."""
        began = time.monotonic()
        yield
        self.say(f"{name} ({time.monotonic() - began:.1f}s)")
