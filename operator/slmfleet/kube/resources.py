"""Kinds and their places in the API: a table instead of discovery, which would cost start time and rights."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

Manifest = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name of the object that a piece of work is about."""


@dataclass(frozen=True)
class Resource:
    """A kind as the API server addresses it."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The URL path of an object, or of the collection without a name; every part is escaped."""
        parts = ["apis" if "/" in self.api_version else "api", *self.api_version.split("/")]
        if namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


SERVICES: Final = Resource("v1", "Service", "services")
SERVICE_ACCOUNTS: Final = Resource("v1", "ServiceAccount", "serviceaccounts")
CONFIG_MAPS: Final = Resource("v1", "ConfigMap", "configmaps")
SECRETS: Final = Resource("v1", "Secret", "secrets")
PERSISTENT_VOLUME_CLAIMS: Final = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
PODS: Final = Resource("v1", "Pod", "pods")
DEPLOYMENTS: Final = Resource("apps/v1", "Deployment", "deployments")
CONTROLLER_REVISIONS: Final = Resource("apps/v1", "ControllerRevision", "controllerrevisions")
POD_DISRUPTION_BUDGETS: Final = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
JOBS: Final = Resource("batch/v1", "Job", "jobs")
NETWORK_POLICIES: Final = Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
EVENTS: Final = Resource("events.k8s.io/v1", "Event", "events")
POD_EVENTS: Final = Resource("v1", "Event", "events")
"""Events as the core API serves them, which can be selected by the object that they are about."""
LEASES: Final = Resource("coordination.k8s.io/v1", "Lease", "leases")

CHILDREN: Final = (
    DEPLOYMENTS,
    SERVICES,
    SERVICE_ACCOUNTS,
    POD_DISRUPTION_BUDGETS,
    NETWORK_POLICIES,
    PERSISTENT_VOLUME_CLAIMS,
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    JOBS,
    PODS,
)
"""The kinds that belong to a fleet; pods are made by its Deployment, the others are applied."""

CREATE_ONLY: Final = frozenset({SECRETS.kind})
"""Kinds of children that this process may create and neither read nor change: they are in no cache."""

_BY_KIND: Final = {(r.api_version, r.kind): r for r in (*CHILDREN, SECRETS)}


def resource_of(api_version: str, kind: str) -> Resource:
    """The resource of a child's kind. Raises KeyError for a kind that is not granted."""
    return _BY_KIND[api_version, kind]


def name_of(obj: Manifest) -> Key:
    """Namespace ("" for a cluster-scoped object) and name."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def uid_of(obj: Manifest) -> str:
    """The uid, "" for an object that was never stored."""
    return str(obj.get("metadata", {}).get("uid", ""))


def version_of(obj: Manifest) -> int:
    """The resourceVersion as a number: within one resource it grows with every write (KEP-5504). 0 when absent."""
    text = obj.get("metadata", {}).get("resourceVersion", "")
    return int(text) if text.isdecimal() else 0
