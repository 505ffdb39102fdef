"""The Service."""

from slmfleet.core.names import TRAFFIC, Names
from slmfleet.core.types import Manifest


def service(names: Names) -> Manifest:
    """The ClusterIP Service that clients use; it selects only pods that carry traffic."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names.metadata(names.name),
        "spec": {
            "type": "ClusterIP",
            "selector": names.selector | {TRAFFIC: "true"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}],
        },
    }
