"""The fetcher as the process that its Job starts."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.settings import REPOSITORY

SECONDS = 300.0
"""For a fetch with all its attempts; the client alone goes on trying for 90."""


@dataclass(frozen=True)
class Ended:
    """A fetch that is over."""

    code: int
    output: str
    result: dict[str, Any]


@dataclass(frozen=True)
class Fetching:
    """A fetch that runs."""

    process: "subprocess.Popen[str]"
    result: Path

    def ended(self) -> Ended:
        """Wait for its end."""
        output, _ = self.process.communicate(timeout=SECONDS)
        text = self.result.read_text() if self.result.exists() else "{}"
        return Ended(self.process.returncode, output, json.loads(text))


@dataclass(frozen=True)
class Place:
    """A volume, a mounted Secret, and a source."""

    work: Path
    uri: str
    secret: Mapping[str, str]

    @property
    def root(self) -> Path:
        """The volume's folder of adapters."""
        return self.work / "adapters"

    def begin(self, *options: str, uri: str | None = None, max_bytes: int = 2**20) -> Fetching:
        """Start a fetch."""
        self.root.mkdir(exist_ok=True)
        credentials = self.work / "secret"
        credentials.mkdir(exist_ok=True)
        for key, value in self.secret.items():
            (credentials / key).write_text(value)
        result = self.work / f"result-{len(list(self.work.glob('result-*')))}"
        result.touch()
        result.write_text("{}")
        process = subprocess.Popen(
            [*self._command(uri or self.uri, result, max_bytes), "--credentials", str(credentials), *options],
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Fetching(process, result)

    def fetch(self, *options: str, uri: str | None = None, max_bytes: int = 2**20) -> Ended:
        """A whole fetch."""
        return self.begin(*options, uri=uri, max_bytes=max_bytes).ended()

    def left_behind(self) -> list[str]:
        """What is in the volume except locks."""
        return sorted(path.name for path in self.root.iterdir() if not path.name.startswith(".lock"))

    def _command(self, uri: str, result: Path, max_bytes: int) -> Sequence[str]:
        where = ["--root", str(self.root), "--result", str(result), "--max-bytes", str(max_bytes)]
        return [sys.executable, "-m", "slmfleet.fetcher", "--uri", uri, *where]

    def _environment(self) -> dict[str, str]:
        # A home and a proxy of the machine would be another source of credentials and another way.
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.work / "home"),
            "PYTHONPATH": str(REPOSITORY / "operator"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "error",
        }
