"""`python -m slmfleet.simulator <vLLM's arguments>`."""

import os
import signal
import sys
from argparse import Namespace
from types import FrameType

from slmfleet.engine.flags import FlagTable
from slmfleet.engine.version import EngineVersion

from .flags import parse
from .settings import Settings, SettingsError, read_settings

EX_CONFIG = 78
"""Exit code for what only the simulator can be told wrongly; vLLM's own codes keep their meaning."""


def main() -> int:
    """Run the simulator with sys.argv and the environment; returns the exit code."""
    signal.signal(signal.SIGTERM, _exit_early)
    table = FlagTable.load()
    try:
        settings = read_settings(os.environ)
        version = _supported(settings.version, table.oldest, table.newest)
    except (SettingsError, ValueError) as error:
        sys.stderr.write(f"slmfleet.simulator: {error}\n")
        return EX_CONFIG
    args = parse(sys.argv[1:], version)
    return _run(args, settings, version)


def _exit_early(_signal: int, _frame: FrameType | None) -> None:
    """Until the server is up SIGTERM ends it; process 1 of a container would otherwise not notice."""
    raise SystemExit(143)


def _supported(text: str, oldest: str, newest: str) -> EngineVersion:
    version = EngineVersion.parse(text)
    first, last = EngineVersion.parse(oldest), EngineVersion.parse(newest)
    if not first.release[:2] <= version.release[:2] <= last.release[:2]:
        raise SettingsError(f"SLMFLEET_SIM_VERSION={text!r}: flags are known for {oldest} to {newest}")
    return version


def _run(args: Namespace, settings: Settings, version: EngineVersion) -> int:
    # Only now: bad flags answer before the server's libraries are read.
    from .faults import FaultError  # noqa: PLC0415
    from .lifecycle import run  # noqa: PLC0415

    try:
        return run(args, settings, version, os.environ)
    except FaultError as error:
        sys.stderr.write(f"slmfleet.simulator: SLMFLEET_SIM_FAULT: {error}\n")
        return EX_CONFIG


if __name__ == "__main__":
    sys.exit(main())
