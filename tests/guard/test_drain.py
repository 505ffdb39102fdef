import fcntl
from dataclasses import dataclass
from pathlib import Path

import pytest

from slmfleet.guard.drain import LOOK_SECONDS, drain

LEAST, QUIET, MOST = 12.0, 6.0, 60.0


@dataclass
class Server:
    """Holds the guard's lock from one second to another, on a clock that only sleeping moves."""

    state: Path
    busy_from: float = 0.0
    busy_until: float = 0.0
    now: float = 0.0

    def __post_init__(self) -> None:
        self.file = (self.state / "busy").open("w")
        self.sleep(0.0)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        running = self.busy_from <= self.now < self.busy_until
        fcntl.flock(self.file, fcntl.LOCK_SH if running else fcntl.LOCK_UN)

    def drained(self) -> float:
        """Seconds until drain.py was satisfied."""
        drain(self.state, LEAST, QUIET, MOST, lambda: self.now, self.sleep)
        self.file.close()
        return self.now


@pytest.mark.parametrize(
    ("busy_from", "busy_until", "seconds"),
    [
        (0.0, 0.0, LEAST),  # nobody there: until every node knows
        (0.0, 3.0, LEAST),
        (0.0, 6.0, LEAST),
        (0.0, 9.0, 15.0),  # an answer from before the drain: its connection is idle once more
        (0.0, 40.0, 46.0),
        (0.0, 58.0, MOST),
        (0.0, 1e9, MOST),  # one that does not end in time
        (11.0, 20.0, 26.0),
    ],
)
def test_it_ends_when_nobody_can_be_cut_off(
    tmp_path: Path, busy_from: float, busy_until: float, seconds: float
) -> None:
    assert Server(tmp_path, busy_from, busy_until).drained() == pytest.approx(seconds, abs=2 * LOOK_SECONDS)
    assert (tmp_path / "drain").exists()


def test_before_the_engine_is_up_it_waits_the_least_time(tmp_path: Path) -> None:
    server = Server(tmp_path)
    (tmp_path / "busy").unlink()
    assert server.drained() == pytest.approx(LEAST, abs=2 * LOOK_SECONDS)


def test_where_the_guard_cannot_be_told_it_still_gives_the_endpoints_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "drain").mkdir()
    (tmp_path / "drain").chmod(0o500)
    server = Server(tmp_path)
    server.state = tmp_path / "missing"
    assert server.drained() == pytest.approx(LEAST, abs=2 * LOOK_SECONDS)
    assert "slmfleet_guard: clients are not told of the drain: " in capsys.readouterr().err


def test_looking_leaves_no_lock_behind(tmp_path: Path) -> None:
    Server(tmp_path).drained()
    with (tmp_path / "busy").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
