"""The Service of an adapter that not all pods have."""

from slmfleet.api.base import GROUP
from slmfleet.core.names import TRAFFIC, Names
from slmfleet.core.types import Manifest

from .fetch_job import adapter_metadata


def adapter_label(adapter: str) -> str:
    """The label of pods that serve an adapter."""
    return f"adapter.{GROUP}/{adapter}"


def adapter_service(names: Names, adapter: Manifest) -> Manifest:
    """Selects only the pods of the fleet that serve the adapter."""
    name = adapter["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": adapter_metadata(names, adapter, f"{name}-adapter"),
        "spec": {
            "type": "ClusterIP",
            "selector": names.selector | {TRAFFIC: "true", adapter_label(name): "true"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}],
        },
    }
