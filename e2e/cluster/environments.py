"""Python environments that go into images, made from locked requirements and kept in the cache."""

import hashlib
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from .console import ClusterError, Console
from .settings import Settings
from .shell import locked, run_long

MODEL_SCRIPT = Path(__file__).with_name("tiny_model.py")


def site_packages(requirements: Path, mounted_at: str, settings: Settings, console: Console) -> Path:
    """A folder with the packages of a locked file, for PYTHONPATH; `mounted_at` is what tracebacks say."""
    target = settings.images / f"{requirements.stem}-{_key(requirements)}"

    def fill(folder: Path) -> None:
        _install(requirements, ["--target", str(folder)], settings, console)
        # Pods have a read-only root: without bytecode every start would compile some thousand files again.
        compile_all = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
        log = settings.logs / "compile.log"
        run_long([*compile_all, "-s", folder, "-p", mounted_at, folder], title="bytecode", log=log, console=console)

    with locked(settings.images / "lock"):
        return _once(target, fill)


def engine(requirements: Path, settings: Settings, console: Console) -> Path:
    """The virtual environment with vLLM. It can't move: its scripts and its compiled caches hold its path."""
    venv = settings.engine / f"venv-{_key(requirements)}"
    complete = venv / ".complete"
    with locked(settings.engine / "lock"):
        if complete.exists():
            return venv
        shutil.rmtree(venv, ignore_errors=True)
        # The base interpreter, not the one of a virtual environment: pods see only the former.
        base = Path(sys.base_prefix) / "bin" / "python3"
        log = settings.logs / "venv.log"
        run_long([*_uv(), "venv", "--python", base, venv], title="engine environment", log=log, console=console)
        # Pods see it read-only: without bytecode every start would compile thousands of files, in each process.
        where = ["--python", str(venv / "bin" / "python"), "--no-deps", "--compile-bytecode"]
        _install(requirements, where, settings, console)
        complete.touch()
    return venv


def overlay(requirements: Path, settings: Settings, console: Console) -> Path:
    """A folder with just the packages of a locked file, to go before the engine environment's own on PYTHONPATH."""
    target = settings.parsers / f"{requirements.stem}-{_key(requirements)}"
    with locked(settings.parsers / "lock"):
        return _once(
            target, lambda folder: _install(requirements, ["--no-deps", "--target", str(folder)], settings, console)
        )


def tiny_model(venv: Path, settings: Settings, console: Console) -> Path:
    """A random 2-layer Llama with a tokenizer and a chat template, made once per script and environment."""
    key = hashlib.sha256(f"{venv.name}:{_key(MODEL_SCRIPT)}".encode()).hexdigest()[:12]

    def make(folder: Path) -> None:
        log = settings.logs / "tiny-model.log"
        run_long([venv / "bin" / "python", MODEL_SCRIPT, folder], title="tiny model", log=log, console=console)

    with locked(settings.images / "lock"):
        return _once(settings.images / f"tiny-model-{key}", make)


def _once(target: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a folder under another name first, so that an interrupted attempt is not taken for a finished one."""
    if not target.exists():
        unfinished = target.with_name(f"{target.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        fill(unfinished)
        unfinished.rename(target)
    return target


def _key(file: Path) -> str:
    if not file.exists():
        raise ClusterError(f"{file} is missing; it pins what goes into the image")
    version = f"{sys.version_info.major}.{sys.version_info.minor}:{sys.base_prefix}"
    return hashlib.sha256(version.encode() + file.read_bytes()).hexdigest()[:12]


def _install(requirements: Path, where: list[str], settings: Settings, console: Console) -> None:
    argv = [*_uv(), "pip", "install", "--require-hashes", *where, "-r", requirements]
    log = settings.logs / f"install-{requirements.stem}.log"
    run_long(argv, title=f"install {requirements.name}", log=log, console=console)


def _uv() -> list[str | Path]:
    if find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    found = shutil.which("uv")
    if not found:
        raise ClusterError("`uv` is missing: pip install uv")
    return [found]
