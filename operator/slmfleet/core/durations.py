"""How long things may take."""

from slmfleet.api.quantities import seconds
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.engine.startup import start_budget


def start_seconds(spec: SLMDeploymentSpec) -> int:
    """How long a replica may take to its first answer: what the user says, else what the model's size suggests."""
    timeout = spec.engine.start_timeout
    return seconds(timeout) if timeout is not None else start_budget(spec.model.uri)
