"""The ServiceAccount."""

from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.names import Names
from slmfleet.core.types import Manifest


def service_account(names: Names, spec: SLMDeploymentSpec) -> Manifest | None:
    """An identity without rights and without a mounted token; none where the user names one."""
    if spec.pod.service_account_name is not None:
        return None
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": names.metadata(names.service_account),
        "automountServiceAccountToken": False,
    }
