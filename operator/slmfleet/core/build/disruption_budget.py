"""The PodDisruptionBudget."""

from slmfleet.core.names import Names
from slmfleet.core.types import Manifest


def disruption_budget(names: Names) -> Manifest:
    """One replica at a time for node drains; a pod that serves nobody never blocks one."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": names.metadata(names.name),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": names.selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
