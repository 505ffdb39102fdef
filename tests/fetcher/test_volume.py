"""The volume: whole adapters under their digest, and nothing else for long."""

import os
from pathlib import Path

import pytest

from slmfleet.fetcher.errors import FetchError
from slmfleet.fetcher.volume import Volume, _volume_errors, write
from slmfleet.guard.adapter_files import digest
from tests.guard.adapters import adapter


class Volumes:
    """A volume and what it said."""

    def __init__(self, root: Path) -> None:
        self.said: list[str] = []
        self.root = root
        self.volume = Volume(root, self.said.append)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir() if not path.name.startswith(".lock"))


@pytest.fixture
def there(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path)


def published(there: Volumes) -> tuple[Path, str]:
    with there.volume.part() as files:
        digits = digest(adapter(files)).removeprefix("sha256:")
        return there.volume.publish(files, digits), digits


def test_a_published_part_is_its_digests_folder_and_the_rest_is_gone(there: Volumes) -> None:
    target, digits = published(there)
    assert there.names() == [target.name] == [digits]
    assert there.volume.finished(digits) == target


def test_a_part_that_is_not_published_is_gone(there: Volumes) -> None:
    with there.volume.part() as files:
        adapter(files)
    assert there.names() == []


def test_a_part_in_use_is_left_to_its_fetch_and_an_orphan_is_removed(there: Volumes) -> None:
    orphan = there.root / ".part-dead"
    (orphan / "files").mkdir(parents=True)
    (orphan / "lock").touch()
    with there.volume.part() as first:
        assert there.said == ["removing .part-dead, which a killed fetch left"]
        with there.volume.part() as second:
            assert first.is_dir()
            assert second.is_dir()
    assert there.names() == []


def test_who_is_second_gets_the_first_ones_result(there: Volumes) -> None:
    target, digits = published(there)
    before = target.stat().st_ino
    assert published(there) == (target, digits)
    assert target.stat().st_ino == before
    assert there.names() == [digits]


def test_a_target_with_other_content_is_never_used_nor_replaced(there: Volumes) -> None:
    target, digits = published(there)
    (target / "adapter_config.json").write_text("{}")
    with pytest.raises(FetchError, match="has the content sha256:") as caught:
        there.volume.finished(digits)
    assert caught.value.reason == "TargetDamaged"
    with pytest.raises(FetchError, match="remove it once no engine lists it"):
        published(there)
    assert (target / "adapter_config.json").read_text() == "{}"


def test_a_link_is_no_finished_target(there: Volumes, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = adapter(tmp_path_factory.mktemp("elsewhere"))
    digits = digest(elsewhere).removeprefix("sha256:")
    (there.root / digits).symlink_to(elsewhere)
    with pytest.raises(FetchError, match="is not a folder"):
        there.volume.finished(digits)


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("before")
    link = tmp_path / "link"
    link.symlink_to(outside)
    with pytest.raises(FetchError, match="cannot write to"):
        write(link, iter([b"after"]))
    assert outside.read_text() == "before"


def test_files_are_readable_for_everybody_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write(tmp_path / "file", iter([b"a", b"b"]))
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_bytes() == b"ab"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_full_volume_is_worth_another_attempt() -> None:
    full = Path("/dev/full")
    with pytest.raises(FetchError, match="No space left on device") as caught, _volume_errors(full):
        full.write_bytes(b"x")
    assert (caught.value.reason, caught.value.again) == ("VolumeError", True)


def test_a_volume_that_is_not_mounted_is_told(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="the claim is not mounted there"):
        Volume(tmp_path / "none", print)
