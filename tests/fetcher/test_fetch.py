"""One fetch from a source that is a dictionary."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from slmfleet.fetcher.errors import FetchError
from slmfleet.fetcher.fetch import Order, fetch
from slmfleet.fetcher.source import Entry
from slmfleet.fetcher.volume import Volume
from slmfleet.guard.adapter_files import digest
from slmfleet.guard.adapter_tensors import Facts
from tests.guard.adapters import adapter, layers

Content = dict[str, bytes]


@dataclass
class Dictionary:
    """A source; `listed` are sizes that its list tells instead."""

    content: Content
    listed: dict[str, int] = field(default_factory=dict)
    read_bytes: int = 0

    def entries(self) -> Iterator[Entry]:
        for name, data in self.content.items():
            yield Entry(name, self.listed.get(name, len(data)))

    def read(self, entry: Entry) -> Iterator[bytes]:
        data = self.content[entry.name]
        for at in range(0, len(data), 64):
            self.read_bytes += len(data[at : at + 64])
            yield data[at : at + 64]


@dataclass
class Listener:
    lines: list[str] = field(default_factory=list)
    arrivals: list[tuple[int, int]] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def arrived(self, done: int, total: int) -> None:
        self.arrivals.append((done, total))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "adapters"
    root.mkdir()
    return root


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return adapter(tmp_path / "made")


@pytest.fixture
def content(made: Path) -> Content:
    return {path.name: path.read_bytes() for path in made.iterdir()}


def run(root: Path, source: Dictionary, wanted: str | None = None, max_bytes: int = 10**6) -> Facts:
    return fetch(Order("s3://b/a", wanted, max_bytes), source, Volume(root, print), Listener())


def refused(root: Path, source: Dictionary, wanted: str | None = None, max_bytes: int = 10**6) -> FetchError:
    """The error of a fetch that leaves nothing."""
    with pytest.raises(FetchError) as caught:
        run(root, source, wanted, max_bytes)
    assert [path.name for path in root.iterdir() if not path.name.startswith(".lock")] == []
    return caught.value


def test_the_result_is_the_facts_with_the_digest(root: Path, made: Path, content: Content) -> None:
    facts = run(root, Dictionary(content))
    assert facts["digest"] == digest(made)
    assert (facts["rank"], facts["targets"], facts["layers"]) == (2, ["q_proj", "v_proj"], 2)
    assert facts["bytes"] == sum(map(len, content.values()))


def test_progress_counts_the_bytes_of_all_files(root: Path, content: Content) -> None:
    listener = Listener()
    total = sum(map(len, content.values()))
    fetch(Order("s3://b/a", None, 10**6), Dictionary(content), Volume(root, print), listener)
    assert listener.arrivals[-1] == (total, total)
    assert [done for done, _ in listener.arrivals] == sorted(done for done, _ in listener.arrivals)
    assert listener.lines == [f"fetching 2 files, {total} bytes, from s3://b/a"]


def test_another_digest_is_refused(root: Path, content: Content) -> None:
    error = refused(root, Dictionary(content), "sha256:" + "0" * 64)
    assert (error.reason, error.again) == ("DigestMismatch", False)


@pytest.mark.parametrize("wanted", ["abc", "sha256:abc", "sha256:" + "G" * 64, "md5:" + "0" * 64])
def test_what_is_no_digest_is_refused_before_anything_is_read(root: Path, content: Content, wanted: str) -> None:
    source = Dictionary(content)
    assert refused(root, source, wanted).reason == "InvalidSource"
    assert source.read_bytes == 0


def test_a_finished_adapter_is_not_read_from_its_source_again(root: Path, content: Content) -> None:
    facts = run(root, Dictionary(content))
    again = Dictionary({})
    assert run(root, again, facts["digest"]) == facts


def test_the_bound_is_on_the_sum_of_all_files(root: Path, content: Content) -> None:
    total = sum(map(len, content.values()))
    source = Dictionary(content)
    error = refused(root, source, max_bytes=total - 1)
    assert (error.reason, source.read_bytes) == ("TooLarge", 0)
    run(root, source, max_bytes=total)


@pytest.mark.parametrize("told", [0, 100])
def test_a_file_larger_than_the_list_says_is_read_no_further(root: Path, content: Content, told: int) -> None:
    name = "adapter_model.safetensors"
    source = Dictionary(content | {name: bytes(10**6)}, {name: told})
    error = refused(root, source, max_bytes=10**4)
    assert (error.reason, error.again) == ("Unreachable", True)
    assert source.read_bytes < 10**4


def test_a_file_that_was_cut_off_is_worth_another_attempt(root: Path, content: Content) -> None:
    name = "adapter_model.safetensors"
    error = refused(root, Dictionary(content, {name: len(content[name]) + 1}))
    assert (error.reason, error.again) == ("Unreachable", True)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("adapter_config.json", b"{", "Malformed"),
        ("adapter_config.json", b"{}" + b" " * 65536, "TooLarge"),
        ("adapter_model.safetensors", b"PK\x03\x04 a pickle under another name", "Malformed"),
    ],
)
def test_files_that_no_engine_could_load_are_refused(
    root: Path, content: Content, name: str, data: bytes, reason: str
) -> None:
    error = refused(root, Dictionary(content | {name: data}))
    assert (error.reason, error.again) == (reason, False)
    assert str(error).startswith("s3://b/a: ")


def test_the_facts_of_a_large_adapter_fit_a_termination_message(tmp_path: Path, root: Path) -> None:
    targets = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    made = adapter(tmp_path / "large", layers(80, targets, rank=8))
    facts = run(root, Dictionary({path.name: path.read_bytes() for path in made.iterdir()}), max_bytes=10**7)
    assert len(json.dumps(facts)) <= 4096
