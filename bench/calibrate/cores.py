"""Which processes run on which core, and how much they are kept from it.

vLLM's CPU worker binds itself to a core. Its server, its scheduler and whoever sends the load go to the other ones.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_WORKER: Final = "VLLM::Worker"
_LOOK: Final = 0.3
"""Seconds."""
QUIET: Final = 0.3
"""Cores that others may have while the machine counts as quiet: an idle node of Kubernetes takes half of that."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds since some beginning."""

    at: float
    """Wall clock."""
    ours: float
    """CPU time of the engine and of this process."""
    all: float
    """CPU time of every process, and what the host took away."""
    waited: float
    """How long the engine's worker could have run and did not."""

    def since(self, before: "Usage") -> "Disturbance":
        """Between two looks."""
        wall = self.at - before.at
        strangers = self.all - before.all - (self.ours - before.ours)
        return Disturbance(max(0.0, strangers / wall), (self.waited - before.waited) / wall)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What a measurement suffered from the machine's other work."""

    others: float
    """Cores that other processes had, on average."""
    waited: float
    """Share of the time in which the engine's worker waited for its core."""

    @property
    def quiet(self) -> bool:
        """Whether the measurement tells about the engine alone."""
        return self.others <= QUIET


def separate(server: int) -> None:
    """Keep this process and the server with this process id, but for its worker, off the worker's core.

    Raises RuntimeError where there is no worker or no other core.
    """
    processes = {pid: _name(pid) for pid in _session(server)}
    workers = [pid for pid, name in processes.items() if name == _WORKER]
    if not workers:
        raise RuntimeError(f"process {server} has no {_WORKER}")
    bound = set().union(*(os.sched_getaffinity(pid) for pid in workers))
    others = os.sched_getaffinity(0) - bound
    if not others:
        raise RuntimeError(f"the engine's worker has every core: {sorted(bound)}")
    for pid in {*processes, os.getpid()} - {*workers}:
        for thread in (_PROC / str(pid) / "task").iterdir():
            os.sched_setaffinity(int(thread.name), others)


def usage(server: int) -> Usage:
    """What has been used up to this moment."""
    machine = [int(word) for word in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = machine[:8]
    processes = list(_session(server))
    return Usage(
        at=time.perf_counter(),
        ours=sum(_seconds(pid) for pid in [*processes, os.getpid()]),
        all=(user + nice + system + irq + softirq + steal) / _TICKS,
        waited=sum(_waited(pid) for pid in processes if _name(pid) == _WORKER),
    )


def settle(server: int, deadline: float) -> None:
    """Wait until the machine is quiet, at most until a second of time.monotonic()."""
    while time.monotonic() < deadline:
        before = usage(server)
        time.sleep(_LOOK)
        if usage(server).since(before).quiet:
            return


def load_average() -> float:
    """Over the last minute, this process and the engine included."""
    return os.getloadavg()[0]


def _session(leader: int) -> Iterator[int]:
    """Processes of the session that a process leads."""
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            fields = _fields(int(entry.name))
            if fields and int(fields[3]) == leader:
                yield int(entry.name)


def _name(pid: int) -> str:
    return (_PROC / str(pid) / "comm").read_text().strip()


def _waited(pid: int) -> float:
    """Seconds that the main thread spent in a run queue."""
    return int((_PROC / str(pid) / "task" / str(pid) / "schedstat").read_text().split()[1]) / 1e9


def _seconds(pid: int) -> float:
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _fields(pid: int) -> list[str]:
    """/proc/PID/stat from the state on; nothing if the process has ended."""
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
