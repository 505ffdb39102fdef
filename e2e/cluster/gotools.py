"""Go programs built from pinned modules: one folder in `go/` per tool.

The tools share the module `go/go.mod`: with one version of every dependency each is compiled once for all of them. A
tool whose dependencies fit no other's has a go.mod of its own. The folder holds a main.go, unless its build.toml names
the `package` to build. Further keys of build.toml: `ldflags`, `names` (links to the binary; default: the folder's name)
and `on_demand` (true: `up` does not build it, whoever needs it calls `ensure`). Nothing else needs to know a tool.
"""

import hashlib
import os
import re
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .console import ClusterError, Console
from .settings import Settings
from .shell import locked, run_long

SOURCES = Path(__file__).parent / "go"
MINIMUM_GO = "1.26"


@dataclass(frozen=True)
class GoTool:
    """One folder of `go/`."""

    name: str
    module: Path
    package: str
    ldflags: str
    names: tuple[str, ...]
    on_demand: bool
    key: str

    def binary(self, settings: Settings) -> Path:
        """Where the build with exactly these sources lies."""
        return settings.builds / f"{self.name}-{self.key}"


def load(folder: Path) -> GoTool:
    """Read a tool's folder."""
    options = folder / "build.toml"
    build = tomllib.loads(options.read_text()) if options.exists() else {}
    if "package" not in build and not (folder / "main.go").exists():
        raise ClusterError(f"{folder}: needs a main.go, or a `package` in build.toml")
    module = folder if (folder / "go.mod").exists() else folder.parent
    digest = hashlib.sha256()
    for file in sorted({*folder.iterdir(), *module.glob("go.*")}):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return GoTool(
        name=folder.name,
        module=module,
        package=build.get("package", "." if module == folder else f"./{folder.name}"),
        ldflags=" ".join(f"-s -w {build.get('ldflags', '')}".split()),
        names=tuple(build.get("names", [folder.name])),
        on_demand=build.get("on_demand", False),
        key=digest.hexdigest()[:12],
    )


def tools(sources: Path = SOURCES) -> list[GoTool]:
    """Every tool of the repository, by name."""
    return [load(folder) for folder in sorted(sources.iterdir()) if folder.is_dir()]


def ensure(name: str, settings: Settings, console: Console) -> Path:
    """Build one tool if it is missing; the link to its binary."""
    known = {tool.name: tool for tool in tools()}
    if name not in known:
        raise ClusterError(f"no tool {name!r}; there are: {', '.join(known)}")
    tool = known[name]
    build([tool], settings, console)
    return settings.bin / tool.names[0]


def build(wanted: Sequence[GoTool], settings: Settings, console: Console) -> None:
    """Build what is missing, one at a time, and point the links in `bin/` at it."""
    settings.bin.mkdir(parents=True, exist_ok=True)
    settings.builds.mkdir(parents=True, exist_ok=True)
    with locked(settings.builds / "lock"):
        for tool in wanted:
            binary = tool.binary(settings)
            if not binary.exists():
                _compile(tool, binary, settings, console)
            for name in tool.names:
                _link(settings.bin / name, binary)


def _compile(tool: GoTool, binary: Path, settings: Settings, console: Console) -> None:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if not go:
        raise ClusterError(
            f"`go` is not on PATH: install Go {MINIMUM_GO} or newer (it builds Kubernetes, etcd and CoreDNS)"
        )
    unfinished = binary.with_suffix(".part")
    argv: list[str | Path] = [
        go,
        "build",
        "-mod=readonly",
        "-trimpath",
        "-ldflags",
        tool.ldflags,
        "-o",
        unfinished,
        tool.package,
    ]
    env = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    log = settings.logs / f"build-{tool.name}.log"
    run_long(argv, title=f"build {tool.name}", log=log, console=console, cwd=tool.module, env=env)
    unfinished.rename(binary)
    for old in settings.builds.glob(f"{tool.name}-*"):
        if old != binary and re.fullmatch(rf"{re.escape(tool.name)}-[0-9a-f]{{12}}", old.name):
            old.unlink()


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.rename(link)
