"""On what a benchmark ran."""

import platform
from datetime import UTC, datetime
from pathlib import Path


def processor() -> str:
    """The CPU's name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def described() -> dict[str, str]:
    """The date and the machine, for a result's head."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{processor()}, {platform.system()} {platform.release()}, Python {platform.python_version()}",
    }
