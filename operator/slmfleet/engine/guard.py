"""Where the engine guard lies in the engine's container, and what it is told."""

import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import Final

from slmfleet.api.guard import Guard
from slmfleet.api.quantities import size

PACKAGE: Final = "slmfleet_guard"
MIDDLEWARE: Final = f"{PACKAGE}.Guard"
"""The value of --middleware, which every release from 0.11.0 on takes, several times if need be."""
FOLDER: Final = f"/slmfleet/guard/{PACKAGE}"
STATE: Final = "/slmfleet/state"
TOKEN_FILE: Final = "token"  # noqa: S105 - the name of a file
KEEP_ALIVE: Final = "VLLM_HTTP_TIMEOUT_KEEP_ALIVE"
KEEP_ALIVE_SECONDS: Final = 5
"""After so many idle seconds vLLM closes a connection, unless the variable says otherwise (vllm/envs.py)."""
MAX_KEEP_ALIVE_SECONDS: Final = 600


@functools.cache
def sources() -> Mapping[str, str]:
    """The package's files by name, as this release brings them."""
    folder = importlib.resources.files("slmfleet") / "guard"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".py")), key=lambda file: file.name)
    return {file.name: file.read_text(encoding="utf-8") for file in files}


def config(guard: Guard, adapters: Mapping[str, object] | None = None) -> str:
    """config.json; `adapters` is what the guard is told about them, None where it has none to look after."""
    wanted = {"maxBody": size(guard.max_body), "extraRoutes": guard.extra_routes or [], "state": STATE}
    wanted |= {} if adapters is None else {"adapters": dict(adapters)}
    return json.dumps(wanted, indent=2) + "\n"


def launch(module: str) -> list[str]:
    """The command that runs a module of the engine's with the guard on its import path."""
    return ["python3", f"{FOLDER}/launch.py", module]


def drain(least: int, quiet: int, most: int) -> list[str]:
    """The command that tells the guard of a drain and waits, all in seconds; see drain.py."""
    return ["python3", "-I", f"{FOLDER}/drain.py", STATE, str(least), str(quiet), str(most)]
