"""Running a command and saying what it said when it fails."""

import fcntl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .console import ClusterError, Console

TAIL_LINES = 15


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented for an error message."""
    return "\n".join(f"    {line[:400]}" for line in text.strip().splitlines()[-lines:])


def run(argv: Sequence[str | Path], *, check: bool = True, stdin: str | None = None) -> str:
    """Run a short command; return its stdout."""
    try:
        done = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError as e:
        raise ClusterError(f"`{argv[0]}` is not installed") from e
    if check and done.returncode:
        raise ClusterError(
            f"`{' '.join(map(str, argv))}` failed ({done.returncode}):\n{tail(done.stdout + done.stderr)}"
        )
    return done.stdout


def run_long(argv: Sequence[str | Path], *, title: str, log: Path, console: Console,
             cwd: Path | None = None, env: Mapping[str, str] | None = None, every: float = 10.0) -> None:  # fmt: skip
    """Run a command that takes minutes: its output goes to `log`, a line every ten seconds says that it still runs."""
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with (
        log.open("w") as output,
        subprocess.Popen(
            [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, env=env
        ) as process,
    ):
        while True:
            try:
                code = process.wait(every)
                break
            except subprocess.TimeoutExpired:
                console.say(f"{title}: {time.monotonic() - began:.0f}s …")
            except KeyboardInterrupt:
                process.terminate()
                raise
    if code:
        command = " ".join(map(str, argv))
        raise ClusterError(f"{title} failed: `{command}` ended with {code}; {log} ends with\n{tail(log.read_text())}")
    console.say(f"{title} ({time.monotonic() - began:.1f}s)")


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process that holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def wait_until(ready: Callable[[], bool], *, seconds: float, interval: float = 0.1) -> bool:
    """Poll until `ready` says so; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True
