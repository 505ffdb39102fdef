"""Which files and folders count as an adapter's, which are refused, and their digest."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from slmfleet.guard.adapter_files import digest, inspect

from .adapters import adapter, refused


@pytest.mark.parametrize("name", ["adapter_model.bin", "optimizer.pt", "deep/x.PKL"])
def test_a_pickle_is_refused_wherever_it_lies(tmp_path: Path, name: str) -> None:
    file = adapter(tmp_path) / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"\x80\x04.")
    reason, text = refused(tmp_path)
    assert (reason, text.partition(" ")[0]) == ("PickleRefused", name)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_both_files_must_be_there(tmp_path: Path, name: str) -> None:
    (adapter(tmp_path) / name).unlink()
    assert refused(tmp_path) == ("NotFound", f"there is no {name} in the folder")


def test_no_folder(tmp_path: Path) -> None:
    assert refused(tmp_path / "a") == ("NotFound", "there is no such folder")


def test_a_folder_outside_of_the_root_is_refused(tmp_path: Path) -> None:
    adapter(tmp_path / "theirs")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "theirs")
    for path in ("root/../theirs", "root/link"):
        assert refused(tmp_path / path, tmp_path / "root")[0] == "UnsafeFile"
    # A name that only begins like the root's is another folder.
    adapter(tmp_path / "root-of-others")
    assert refused(tmp_path / "root-of-others", tmp_path / "root")[0] == "UnsafeFile"


def test_a_file_that_links_out_of_the_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    folder = adapter(tmp_path / "root" / "a")
    (folder / "notes.txt").symlink_to(tmp_path / "secret")
    assert refused(folder, tmp_path / "root") == ("UnsafeFile", f"notes.txt is a link out of {tmp_path / 'root'}")


def test_links_within_the_root_are_followed(tmp_path: Path) -> None:
    # As the hub's cache has them: snapshots/<revision>/<file> leads to blobs/<hash>.
    blobs, folder = adapter(tmp_path / "blobs"), tmp_path / "snapshots" / "1"
    folder.mkdir(parents=True)
    for file in blobs.iterdir():
        (folder / file.name).symlink_to(file)
    assert inspect(folder, tmp_path) == inspect(blobs)
    assert digest(folder, tmp_path) == digest(blobs)
    assert refused(folder)[0] == "UnsafeFile"


def test_a_link_to_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (adapter(tmp_path / "a") / "more").symlink_to(tmp_path / "more")
    assert refused(tmp_path / "a", tmp_path) == ("UnsafeFile", "more is neither a file nor a folder")


def test_a_broken_link_is_refused(tmp_path: Path) -> None:
    (adapter(tmp_path) / "x.json").symlink_to("nowhere")
    assert refused(tmp_path)[0] == "NotFound"


def test_a_pipe_is_refused_and_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(adapter(tmp_path) / "x.json")
    assert refused(tmp_path) == ("UnsafeFile", "x.json is neither a file nor a folder")


@pytest.mark.parametrize("name", ["a\nb", "a\\b", b"\xff"])
def test_names_that_would_blur_the_digest_are_refused(tmp_path: Path, name: str | bytes) -> None:
    (adapter(tmp_path) / os.fsdecode(name)).touch()
    assert refused(tmp_path)[0] == "UnsafeFile"


def test_files_that_the_engine_may_not_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    adapter(tmp_path)
    monkeypatch.setattr(os, "open", denied)
    assert refused(tmp_path) == ("NotFound", "adapter_config.json cannot be read: Permission denied")


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    adapter(tmp_path)
    for number in range(1000):
        (tmp_path / f"{number}.txt").touch()
    assert refused(tmp_path)[0] == "TooLarge"


def test_the_digest_is_what_sha256sum_makes_of_the_names_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    (folder / "sub").mkdir(parents=True)
    for name, text in {"b": "2", "a": "1", "B": "3", "sub/a": "", ".hidden": "x"}.items():
        (folder / name).write_text(text)
    names = [".hidden", "B", "a", "b", "sub/a"]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    assert digest(folder) == "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()
    assert digest(folder) == "sha256:a9bbc8eb8f370f13e4a27b85d65ce3d3f82198a0710f30b9849f4b6443bcd274"


@pytest.mark.parametrize("change", ["content", "name", "more", "less"])
def test_every_change_of_a_file_changes_the_digest(tmp_path: Path, change: str) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "x.txt").write_text("x")
    before = digest(folder)
    copy = shutil.copytree(folder, tmp_path / "b")
    assert digest(copy) == before
    match change:
        case "content":
            (copy / "x.txt").write_text("y")
        case "name":
            (copy / "x.txt").rename(copy / "y.txt")
        case "more":
            (copy / "y.txt").touch()
        case _:
            (copy / "x.txt").unlink()
    assert digest(copy) != before
