"""Fetches that are ended in the middle, that run beside each other, and that come twice."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.fetcher.conftest import FOLDER, Opened
from e2e.fetcher.runs import SECONDS, Place
from e2e.fetcher.servers import Store
from e2e.harness.waiting import eventually
from slmfleet.guard.adapter_files import digest

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def place(opened: Opened, store: Store) -> Iterator[Place]:
    """A bucket whose weights stop in the middle."""
    store.files[f"{FOLDER}/README.md"] = b"#" * 1000
    store.hold = threading.Event()
    with opened("s3") as place:
        yield place


def until_held(place: Place, store: Store) -> None:
    """Wait until a fetch is in the middle of the weights."""

    def held() -> bool:
        return store.asked_for(WEIGHTS) > 0 and bool(list(place.root.glob(f".part-*/files/{WEIGHTS}")))

    eventually(held, within=SECONDS, what="the fetch asks for the weights")


def test_a_fetch_that_is_told_to_end_leaves_nothing(place: Place, store: Store) -> None:
    assert store.hold is not None
    running = place.begin()
    until_held(place, store)
    running.process.send_signal(signal.SIGTERM)
    store.hold.set()  # the signal, which is there before the next piece, is looked at when that has come
    ended = running.ended()
    assert (ended.code, ended.result["error"]) == (143, "Interrupted"), ended
    assert place.left_behind() == []


def test_what_a_killed_fetch_left_the_next_one_removes(place: Place, store: Store) -> None:
    assert store.hold is not None
    running = place.begin()
    until_held(place, store)
    running.process.kill()
    running.ended()
    (part,) = place.left_behind()
    store.hold.set()
    ended = place.fetch()
    assert ended.code == 0, ended
    assert f"removing {part}, which a killed fetch left" in ended.output
    assert place.left_behind() == [ended.result["digest"].removeprefix("sha256:")]


def test_of_two_fetches_of_a_digest_one_downloads(place: Place, store: Store, tmp_path: Path) -> None:
    assert store.hold is not None
    (tmp_path / "made" / "README.md").write_bytes(b"#" * 1000)
    wanted = digest(tmp_path / "made")
    first = place.begin("--digest", wanted)
    until_held(place, store)
    second = place.begin("--digest", wanted)
    assert second.process.stdout is not None
    assert second.process.stdout.readline() == "waiting for another fetch of the same digest\n"
    store.hold.set()
    ends = [first.ended(), second.ended()]
    assert [end.code for end in ends] == [0, 0], ends
    assert ends[0].result == ends[1].result
    assert store.asked_for(WEIGHTS) == 1


def test_two_fetches_without_a_digest_end_with_one_adapter(place: Place, store: Store) -> None:
    assert store.hold is not None
    first, second = place.begin(), place.begin()
    until_held(place, store)
    store.hold.set()
    ends = [first.ended(), second.ended()]
    assert [end.code for end in ends] == [0, 0], ends
    assert place.left_behind() == [ends[0].result["digest"].removeprefix("sha256:")]


def test_a_finished_adapter_is_verified_and_not_fetched_again(place: Place, store: Store) -> None:
    assert store.hold is not None
    store.hold.set()
    wanted = place.fetch().result["digest"]
    store.requests.clear()
    again = place.fetch("--digest", wanted)
    assert (again.code, again.result["digest"], store.requests) == (0, wanted, [])
    (place.root / wanted.removeprefix("sha256:") / "README.md").write_text("another")
    damaged = place.fetch("--digest", wanted)
    assert (damaged.code, damaged.result["error"]) == (3, "TargetDamaged"), damaged
