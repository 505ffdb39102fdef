"""Read the metrics of every supported vLLM release and write operator/slmfleet/engine/metrics.json.

Each release's sources are put before the newest CPU environment's and asked to build the logger of their own server.
"""

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from e2e.cluster.console import Console
from e2e.cluster.settings import REPOSITORY, Settings
from tools.flags import archives
from tools.flags.engine import Engine

from .table import Release, written

TABLE: Final = REPOSITORY / "operator" / "slmfleet" / "engine" / "metrics.json"


def main() -> int:
    """Write the table; a release that cannot be read ends it with its reason."""
    settings, console = Settings(), Console()
    engine = Engine.made(settings, console)

    def release_of(version: str) -> Release:
        archive = archives.archive(version, settings.parsers)
        with tempfile.TemporaryDirectory() as folder:
            archives.unpack(archive, Path(folder))
            families = engine.asked(Path(folder), "tools.metrics.reader")
        console.say(f"vllm {version}: {len(families)} families")
        return Release(version, archive.name, archives.sha256(archive), families)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        releases = list(pool.map(release_of, archives.releases()))
    TABLE.write_text(written(releases), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
