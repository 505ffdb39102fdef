"""On what a benchmark ran, and where its result goes."""

import json
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path


def processor() -> str:
    """The CPU's name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def machine() -> str:
    """The CPU, the kernel and the Python."""
    return f"{processor()}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def today() -> str:
    """The date, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def described() -> dict[str, str]:
    """The date and the machine, for a result's head."""
    return {"date": today(), "machine": machine()}


def tell(result: Mapping[str, object], file: Path) -> None:
    """Print a benchmark's result; `--write` among the command's words keeps it in its file."""
    text = json.dumps(result, indent=2) + "\n"
    sys.stdout.write(text)
    if "--write" in sys.argv[1:]:
        file.write_text(text, encoding="utf-8")
