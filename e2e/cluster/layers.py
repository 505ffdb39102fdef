"""The layers of an image: a tar each, that is the same, byte for byte, whenever its content is."""

import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from .console import ClusterError

NONROOT = "65532"


def layer(files: Mapping[str, Path | bytes], mount_points: Sequence[Path]) -> bytes:
    """A tar of the files, their parent folders and the mount points: sorted, without times and owners."""
    entries: dict[str, tuple[int, bytes | None]] = {}
    for target, source in files.items():
        for path, mode, content in _expand(target, source):
            entries[path] = (mode, content)
    entries["/etc/passwd"] = (
        0o644,
        f"root:x:0:0:root:/root:/bin/sh\nnonroot:x:{NONROOT}:{NONROOT}::/tmp:/bin/sh\n".encode(),
    )
    entries["/etc/group"] = (0o644, f"root:x:0:\nnonroot:x:{NONROOT}:\n".encode())
    folders = {"/tmp": 0o1777, "/proc": 0o755, "/dev": 0o755, "/sys": 0o755, "/var/run": 0o755}
    folders |= {str(path): 0o755 for path in mount_points}
    for path in [*entries, *folders]:
        for parent in PurePosixPath(path).parents:
            folders.setdefault(str(parent), 0o755)
    entries |= {path: (mode, None) for path, mode in folders.items() if path != "/"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(entries):
            mode, content = entries[path]
            add(archive, path.lstrip("/"), content, mode)
    return buffer.getvalue()


def cached(folder: Path, target: str, mount_points: Sequence[Path]) -> bytes:
    """The layer of a folder that never changes, kept beside it: thousands of files take seconds to put into a tar."""
    kept = folder.with_name(f"{folder.name}.layer")
    if not kept.exists():
        unfinished = kept.with_name(f"{kept.name}.{os.getpid()}.part")
        unfinished.write_bytes(layer({target: folder}, mount_points))
        unfinished.rename(kept)
    return kept.read_bytes()


def _expand(target: str, source: Path | bytes) -> list[tuple[str, int, bytes | None]]:
    if isinstance(source, bytes):
        return [(target, 0o644, source)]
    if source.is_file():
        return [(target, 0o755 if source.stat().st_mode & 0o100 else 0o644, source.read_bytes())]
    if not source.is_dir():
        raise ClusterError(f"{source}: no such file or folder, and the image needs it at {target}")
    found: list[tuple[str, int, bytes | None]] = [(target, 0o755, None)]
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if path.is_file() and not _is_stale_bytecode(path):
            found += _expand(str(PurePosixPath(target) / inside), path)
    return found


def add(archive: tarfile.TarFile, name: str, content: bytes | None, mode: int = 0o644) -> None:
    """Add a file, or a folder where there is no content; without a time and an owner."""
    info = tarfile.TarInfo(name)
    info.mode = mode
    if content is None:
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
        return
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _is_stale_bytecode(path: Path) -> bool:
    """Bytecode that is checked against its source's time, which files in an image don't have (PEP 552: flags 0)."""
    return path.suffix == ".pyc" and path.read_bytes()[4:8] == bytes(4)
