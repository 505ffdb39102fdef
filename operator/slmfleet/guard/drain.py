"""The pod's preStop hook: tells the guard that the pod drains, and ends when SIGTERM can cut nobody off.

A deleted pod leaves the Service's endpoints while this runs. Three kinds of clients may still come to it:

    new ones, until every node has learned that the pod leaves    covered by `least` seconds,
    idle ones, whose connection the server closes after its       and so are they; a request that they send before is
        keep-alive timeout                                         answered with `Connection: close`;
    busy ones, whose answer began before the drain and could      covered by `quiet` seconds without a running request:
        not say so: when it ends, they are idle ones                the keep-alive timeout once more.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

LOOK_SECONDS = 0.2


def drain(
    state: Path,
    least: float,
    quiet: float,
    most: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Returns after `least` seconds and `quiet` seconds without a running request, or after `most`, whatever runs."""
    try:
        (state / "drain").touch()
    except OSError as error:  # without it clients are not told, but new ones still need the time to stay away
        sys.stderr.write(f"slmfleet_guard: clients are not told of the drain: {error}\n")
    begun = clock()
    idle_since = begun - quiet
    while (now := clock()) < begun + most:
        if busy(state / "busy"):
            idle_since = now
        if now >= begun + least and now >= idle_since + quiet:
            return
        sleep(LOOK_SECONDS)


def busy(path: Path) -> bool:
    """Whether requests run: then the guard holds a shared lock on this file. There is none before the engine is up."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)  # and with it goes the lock
    return False


if __name__ == "__main__":
    folder, *words = sys.argv[1:]
    least_, quiet_, most_ = map(float, words)
    drain(Path(folder), least_, quiet_, most_)
