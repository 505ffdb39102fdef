"""Durations as people write them."""

import re
from typing import Final

from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.engine.startup import start_budget

_UNITS: Final = {"h": 3600, "m": 60, "s": 1}


def seconds(duration: str) -> int:
    """Seconds of '300s', '5m' or '1h30m'; the API has checked the form."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([hms])", duration))


def start_seconds(spec: SLMDeploymentSpec) -> int:
    """How long a replica may take to its first answer: what the user says, else what the model's size suggests."""
    timeout = spec.engine.start_timeout
    return seconds(timeout) if timeout is not None else start_budget(spec.model.uri)
