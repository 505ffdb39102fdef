"""plan(): from what is observed to what is to be done."""

from datetime import datetime

from .types import Config, Observed, Plan


def plan(observed: Observed, config: Config, now: datetime) -> Plan:
    """The writes, the status and the events that bring one SLMDeployment closer to its spec. Pure."""
    raise NotImplementedError
