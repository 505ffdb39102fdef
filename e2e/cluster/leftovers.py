"""Removing what containers leave on a machine, also after a crash: processes, mounts, sockets, leases, cgroups.

Nothing here trusts a record of what was started: it finds what is ours by where it is (our state directory, our
cgroup, our bridge).
"""

import contextlib
import ctypes
import hashlib
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from . import host, processes
from .settings import Settings
from .shell import wait_until

CGROUPS = Path("/sys/fs/cgroup")
SHIM_SOCKETS = Path("/run/containerd/s")  # compiled into containerd
CNI_RESULTS = Path("/var/lib/cni/results")  # compiled into containerd
CONTAINER_LOGS = Path("/var/log/containers")  # compiled into the kubelet
MNT_DETACH = 2
# All pods together would otherwise weigh as much as one process of the machine: a test run or a build starves them.
CPU_SHARES = {"cpu.shares": "16384", "cpu.weight": "1600"}


def sweep(settings: Settings) -> None:
    """End the containers and the shims and remove what they used; the components must have ended before."""
    shims = processes.ours(settings.state)
    sockets = _shim_sockets(settings, shims)
    processes.stop(shims, settings.state, grace=0)
    _end_containers(settings)
    for mount in reversed(list(mounts(settings))):
        _unmount(mount)
    for socket in sockets:
        socket.unlink(missing_ok=True)
    _remove_cgroups(settings)
    shutil.rmtree(settings.state / "run", ignore_errors=True)
    for result in CNI_RESULTS.glob(f"{settings.cni_network}-*"):
        sandbox = result.name.split("-")[1]
        for file in CNI_RESULTS.glob(f"*-{sandbox}-*"):  # its loopback's, too
            file.unlink(missing_ok=True)
    for log in CONTAINER_LOGS.glob("*.log"):
        if log.is_symlink() and log.readlink().is_relative_to(settings.state):
            log.unlink()


def remove_compiled_in_directories(settings: Settings) -> None:
    """The directories that containerd and the kubelet make unasked, unless they were there before."""
    for path in host.absent_before(settings):
        for folder, _, files in os.walk(path, topdown=False):
            if folder.endswith("device-plugins"):  # the kubelet's own socket and checkpoint
                for file in files:
                    Path(folder, file).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty: someone else uses it by now
                Path(folder).rmdir()


def mounts(settings: Settings) -> Iterator[Path]:
    """Mount points under the state directory, in the order in which they were mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if point.is_relative_to(settings.state):
            yield point


def cgroups(settings: Settings) -> list[Path]:
    """Our directory in every cgroup hierarchy (v1: one per controller, v2: one)."""
    candidates = [CGROUPS / settings.cgroup, *(d / settings.cgroup for d in sorted(CGROUPS.glob("*")))]
    return [path for path in candidates if path.is_dir()]


def make_cgroups(settings: Settings) -> None:
    """The kubelet wants its root cgroup to be there, in every hierarchy."""
    unified = (CGROUPS / "cgroup.controllers").exists()
    for hierarchy in [CGROUPS] if unified else sorted(d for d in CGROUPS.glob("*") if d.is_dir()):
        ours = hierarchy / settings.cgroup
        ours.mkdir(exist_ok=True)
        for file, value in CPU_SHARES.items():
            if (ours / file).exists():
                (ours / file).write_text(value)


def members(settings: Settings) -> set[int]:
    """The processes of the containers."""
    pids: set[int] = set()
    for group in cgroups(settings):
        for file in group.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):  # the container ended meanwhile
                pids.update(pid for pid in map(int, file.read_text().split()) if pid)  # 0: of another PID namespace
    return pids


def _end_containers(settings: Settings) -> None:
    def ended() -> bool:
        pids = members(settings)
        processes.kill_cgroup_members(pids)
        return not pids

    wait_until(ended, seconds=10, interval=0.05)


def _shim_sockets(settings: Settings, shims: list[processes.Process]) -> list[Path]:
    """A shim's socket is named after the hash of containerd's address, the namespace and the id of the sandbox."""
    ids = {argv[argv.index("-id") + 1] for argv in (shim.argv for shim in shims) if "-id" in argv}
    tasks = settings.containerd_state / "io.containerd.runtime.v2.task" / "k8s.io"
    ids |= {bundle.name for bundle in tasks.glob("*")}
    address = settings.containerd_socket
    return [SHIM_SOCKETS / hashlib.sha256(f"{address}/k8s.io/{i}".encode()).hexdigest() for i in ids]


def _unmount(point: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.umount2(os.fsencode(point), MNT_DETACH)


def _remove_cgroups(settings: Settings) -> None:
    for group in cgroups(settings):
        children = sorted((d for d in group.rglob("*") if d.is_dir()), key=lambda d: len(d.parts), reverse=True)
        for directory in [*children, group]:
            wait_until(partial(_rmdir, directory), seconds=10, interval=0.02)


def _rmdir(directory: Path) -> bool:
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # busy for a moment after its last process ended
        return False
    return True
