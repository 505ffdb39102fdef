"""The processes of the local cluster's pods, which are this machine's."""

import contextlib
from pathlib import Path


def process_of(pod: str) -> int:
    """The first process of a pod's container, as this machine counts; a container's HOSTNAME is its pod's name.

    Within the container it is number 1. Here its children may have smaller numbers: those begin again at 32768.
    """
    mark = f"HOSTNAME={pod}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile
            if mark in (process / "environ").read_bytes().split(b"\0") and _number_inside(process) == 1:
                found.append(int(process.name))
    assert len(found) == 1, f"{len(found)} first processes of {pod} run on this machine"
    return found[0]


def _number_inside(process: Path) -> int:
    """Its number in the innermost namespace that it is in (proc_pid_status(5): NSpid)."""
    (line,) = [line for line in (process / "status").read_text().splitlines() if line.startswith("NSpid:")]
    return int(line.split()[-1])
