"""A server with the guard inside, loaded as in a pod."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from e2e.cluster.settings import REPOSITORY

from .servers import OPTIONS, Implementation, Running, started

SOURCE = REPOSITORY / "operator" / "slmfleet" / "guard"
TOKEN = "0123456789abcdef" * 4
MAX_BODY = 2**20


@dataclass(frozen=True)
class Guarded:
    """The server, the folder with the guard's files, and the one with its state."""

    server: Running
    folder: Path
    state: Path


LORA = ("--enable-lora", "--max-lora-rank", "8", "--max-loras", "2", "--max-cpu-loras", "4")


@contextmanager
def started_guarded(implementation: Implementation, root: Path, *, adapters: bool = False) -> Iterator[Guarded]:
    """A server that answers /health, with everything of the guard's under `root`; `adapters` lie in its folder so."""
    folder, state = root / "slmfleet_guard", root / "state"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    state.mkdir()
    config: dict[str, object] = {"maxBody": MAX_BODY, "extraRoutes": [], "state": str(state)}
    options: tuple[str, ...] = (*OPTIONS, "--middleware", "slmfleet_guard.Guard")
    environment = implementation.environment
    if adapters:
        config["adapters"] = {"table": str(root / "table.json"), "roots": [str(root / "adapters")], "hold": False}
        environment = environment | {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
        options += LORA
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "token").write_text(TOKEN)
    launched = replace(implementation, launcher=folder / "launch.py", environment=environment)
    with started(launched, root / "server.log", options) as running:
        yield Guarded(running, folder, state)
