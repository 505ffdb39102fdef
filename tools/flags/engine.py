"""The environment in which other releases of vLLM build their parsers."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from e2e.cluster import environments
from e2e.cluster.console import Console
from e2e.cluster.settings import REPOSITORY, Settings

REQUIREMENTS = REPOSITORY / "requirements"
SECONDS: Final = 300.0
"""For one start of an interpreter that imports vLLM; about 4 are usual."""


@dataclass(frozen=True)
class Engine:
    """The CPU environment of one release, which another release's sources can go in front of."""

    python: Path
    common: Path
    """What older releases import and this environment has not."""

    @classmethod
    def made(cls, settings: Settings, console: Console) -> "Engine":
        """Made on the first use, which downloads its packages."""
        venv = environments.engine(REQUIREMENTS / "engine-cpu.txt", settings, console)
        common = environments.overlay(REQUIREMENTS / "parsers" / "common.txt", settings, console)
        return cls(venv / "bin" / "python", common)

    def environment(self, *first: Path) -> dict[str, str]:
        """For a process that imports the vLLM in `first`; nothing of the caller's own changes a default."""
        path = ":".join(map(str, [*first, self.common, REPOSITORY]))
        return {"PYTHONPATH": path, "HOME": "/nonexistent", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}

    def asked(self, sources: Path, module: str, *arguments: str) -> Any:  # noqa: ANN401 - JSON
        """What a module of ours prints in its last line, run with a release's sources. ValueError when it fails."""
        done = subprocess.run(
            [self.python, "-m", module, *arguments],
            cwd=REPOSITORY,
            env=self.environment(sources),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode:
            said = " ".join(arguments)
            raise ValueError(f"{said}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}".lstrip(": "))
        return json.loads(done.stdout.splitlines()[-1])
