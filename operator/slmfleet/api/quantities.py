"""Quantities and durations of Kubernetes as numbers."""

import math
import re
from decimal import Decimal
from typing import Final

_SCALE: Final = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{letter: Decimal(1000) ** n for n, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** n for n, letter in enumerate("KMGTPE", start=1)},
}
_UNITS: Final = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
MIB: Final = 1024**2
GIB: Final = 1024**3


def amount(quantity: str) -> Decimal:
    """The number that a quantity such as 4Gi, 0.5 or 500m stands for; the API has checked the form."""
    digits = quantity.rstrip("".join(_SCALE))
    return Decimal(digits) * _SCALE[quantity[len(digits) :]]


def size(quantity: str) -> int:
    """Bytes of a quantity of memory, rounded up as Kubernetes does."""
    return math.ceil(amount(quantity))


def in_bytes(amount: int) -> str:
    """A quantity of that many bytes, in the largest unit that needs no fraction."""
    for power, letter in reversed(list(enumerate("KMGTPE", start=1))):
        if amount and amount % 1024**power == 0:
            return f"{amount // 1024**power}{letter}i"
    return str(amount)


def seconds(duration: str) -> int:
    """Seconds of '300s', '5m' or '1h30m'; the API has checked the form."""
    return int(fine_seconds(duration))


def fine_seconds(duration: str) -> float:
    """Seconds of '500ms', too."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)(ms|[hms])", duration))
