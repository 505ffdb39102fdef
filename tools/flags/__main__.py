"""Read the options of every supported vLLM release and write operator/slmfleet/engine/flags.json.

Each release's sources are put before the newest CPU environment's and asked for their own parser.
"""

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from e2e.cluster.console import Console
from e2e.cluster.settings import REPOSITORY, Settings

from . import archives
from .engine import Engine
from .reader import PLATFORMS
from .table import Release, agreed, written

TABLE: Final = REPOSITORY / "operator" / "slmfleet" / "engine" / "flags.json"


def read(version: str, archive: Path, engine: Engine) -> Release:
    """One release; one that cannot be read is incomplete instead of stopping the others."""
    digest = archives.sha256(archive)
    with tempfile.TemporaryDirectory() as folder:
        archives.unpack(archive, Path(folder))
        try:
            answers = [engine.asked(Path(folder), "tools.flags.reader", platform) for platform in PLATFORMS]
            options = agreed([answer["options"] for answer in answers])
        except ValueError as error:
            return Release(version, archive.name, digest, problem=str(error))
    values = next(answer["values"] for answer in answers if answer["values"])
    return Release(version, archive.name, digest, options, values)


def main() -> int:
    """Write the table; 1 when a release was not understood."""
    settings, console = Settings(), Console()
    engine = Engine.made(settings, console)

    def release_of(version: str) -> Release:
        release = read(version, archives.archive(version, settings.parsers), engine)
        console.say(f"vllm {version}: {release.problem or f'{len(release.options)} options'}")
        return release

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        releases = list(pool.map(release_of, archives.releases()))
    TABLE.write_text(written(releases), encoding="utf-8")
    return 1 if any(release.problem for release in releases) else 0


if __name__ == "__main__":
    sys.exit(main())
