"""Durations as people write them."""

import re
from typing import Final

_UNITS: Final = {"h": 3600, "m": 60, "s": 1}


def seconds(duration: str) -> int:
    """Seconds of '300s', '5m' or '1h30m'; the API has checked the form."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([hms])", duration))
