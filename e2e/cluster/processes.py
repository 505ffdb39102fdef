"""Our processes, recognised by a mark in their environment.

Every component is started with SLMFLEET_CLUSTER=<state directory> in its environment, and its children (containerd's
shims) inherit it. /proc/PID/environ is then the only record: it can't be stale, it survives the loss of the state
directory, and a process that got a recycled PID doesn't carry the mark. Signals go through a pidfd, so that the process
that was looked at is the one that ends.
"""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .shell import wait_until

MARK = "SLMFLEET_CLUSTER"
COMPONENT = "SLMFLEET_COMPONENT"
DIGEST = "SLMFLEET_DIGEST"


@dataclass(frozen=True)
class Process:
    """A live process that we, or a process of ours, started."""

    pid: int
    component: str
    digest: str
    is_leader: bool  # the component itself, not a child of it: components lead a session of their own
    argv: tuple[str, ...]


def ours(state: Path) -> list[Process]:
    """Every live process of the cluster whose state is there."""
    found = (_read(int(entry), state) for entry in os.listdir("/proc") if entry.isdigit())  # noqa: PTH208 # half the time
    return [process for process in found if process is not None]


def other_states(state: Path) -> set[str]:
    """The state directories of other clusters that run on this machine."""
    found: set[str] = set()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or it is another user's
            marks = [pair for pair in environ.read_bytes().split(b"\0") if pair.startswith(f"{MARK}=".encode())]
            found.update(mark.decode(errors="replace").partition("=")[2] for mark in marks)
    return found - {str(state)}


def components(state: Path) -> dict[str, Process]:
    """The running components by name."""
    return {p.component: p for p in ours(state) if p.is_leader}


def spawn(argv: Sequence[str | Path], *, component: str, digest: str, state: Path, log: Path,
          env: Mapping[str, str]) -> int:  # fmt: skip
    """Start a component in a session of its own, so that it outlives this command and its terminal; its PID."""
    log.parent.mkdir(parents=True, exist_ok=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:  # pods inherit this limit through containerd
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    args = [str(a) for a in argv]
    marks = {MARK: str(state), COMPONENT: component, DIGEST: digest}
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with contextlib.suppress(FileNotFoundError):
        log.replace(log.with_suffix(".previous.log"))
    return os.posix_spawn(
        args[0],
        args,
        {**env, **marks},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE],  # Python ignores it, and what is ignored is inherited
    )


def _inheritable() -> list[int]:
    """Descriptors of our caller's that a component would keep open for as long as it runs: a pipe, a lock."""
    found = []
    for fd in (int(name) for name in os.listdir("/proc/self/fd")):  # noqa: PTH208 - numbers, not paths
        with contextlib.suppress(OSError):  # the one that read the folder is closed by now
            if fd > 2 and os.get_inheritable(fd):
                found.append(fd)
    return found


def ended(pid: int) -> bool:
    """Whether a child of this process has ended (its mark can't tell: it appears a moment after the start)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def stop(processes: Iterable[Process], state: Path, *, grace: float) -> None:
    """SIGTERM, then SIGKILL after the grace period; returns when they are gone."""
    with contextlib.ExitStack() as stack:
        handles = [(p, fd) for p in processes if (fd := _open(p, state, stack)) is not None]
        if grace > 0:
            for _, fd in handles:
                _send(fd, signal.SIGTERM)
            wait_until(lambda: not any(_alive(p, state) for p, _ in handles), seconds=grace, interval=0.05)
        for process, fd in handles:
            if _alive(process, state):
                _send(fd, signal.SIGKILL)
        wait_until(lambda: not any(_alive(p, state) for p, _ in handles), seconds=5, interval=0.02)


def kill_cgroup_members(pids: Iterable[int]) -> None:
    """SIGKILL the processes of our own cgroup: the containers."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _read(pid: int, state: Path) -> Process | None:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        mark = f"{MARK}={state}".encode()
        if mark not in environ or mark not in (pairs := environ.split(b"\0")):
            return None
        values = dict(pair.decode(errors="replace").partition("=")[::2] for pair in pairs)
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        leader = os.getsid(pid) == pid
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # it ended meanwhile, or it is another user's
        return None
    return Process(pid, values.get(COMPONENT, ""), values.get(DIGEST, ""), leader, tuple(argv[:-1]))


def _alive(process: Process, state: Path) -> bool:
    now = _read(process.pid, state)
    return now is not None and now.component == process.component


def _open(process: Process, state: Path, stack: contextlib.ExitStack) -> int | None:
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    stack.callback(os.close, fd)
    return fd if _alive(process, state) else None


def _send(fd: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(fd, number)


def uptime(process: Process) -> float:
    """Seconds since the process started."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
