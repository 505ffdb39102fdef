"""Names and labels of everything that belongs to one SLMDeployment."""

from dataclasses import dataclass
from typing import Any, Final

from slmfleet.api.base import API_VERSION, GROUP
from slmfleet.api.slmdeployment import KIND

from .types import Manifest, Ref

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "slmfleet"
DEPLOYMENT: Final = f"{GROUP}/deployment"
REVISION: Final = f"{GROUP}/revision"
ADAPTER: Final = f"{GROUP}/adapter"
"""The adapter that an object is for."""
RETAINED: Final = f"{GROUP}/retained"
TRAFFIC: Final = f"{GROUP}/traffic"
DRAINING_SINCE: Final = f"{GROUP}/draining-since"
"""Seconds since 1970 at which a pod was taken out of the Service to be emptied; stays until its guard is back."""

ENGINE_CONTAINER: Final = "engine"


@dataclass(frozen=True)
class Names:
    """The identity of one SLMDeployment, from which its children's names and labels derive."""

    name: str
    namespace: str
    uid: str

    @classmethod
    def of(cls, slm: Manifest) -> "Names":
        """Read from the object's metadata; a manifest that was never stored has no namespace and no uid yet."""
        metadata = slm["metadata"]
        return cls(metadata["name"], metadata.get("namespace", "default"), metadata.get("uid", ""))

    @property
    def selector(self) -> dict[str, str]:
        """Labels that all pods carry and no other object's pods do; immutable in a Deployment."""
        return {DEPLOYMENT: self.name}

    @property
    def labels(self) -> dict[str, str]:
        """Labels of every child."""
        return {
            "app.kubernetes.io/name": "vllm",
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/component": "engine",
            MANAGED_BY: MANAGER,
            **self.selector,
        }

    @property
    def cache_claim(self) -> str:
        """The claim that the operator makes for downloaded weights."""
        return f"{self.name}-models"

    @property
    def service_account(self) -> str:
        """The pods' identity; the bare name could be "default", which every namespace has."""
        return f"{self.name}-engine"

    @property
    def network_policy(self) -> str:
        """The policy on the engine pods; people give policies of their own the bare names of applications."""
        return f"{self.name}-engine"

    @property
    def adapter_table(self) -> str:
        """The ConfigMap with the adapters that a starting engine loads."""
        return f"{self.name}-adapters"

    @property
    def url(self) -> str:
        """Where clients inside the cluster find the OpenAI-compatible API."""
        return f"http://{self.name}.{self.namespace}.svc"

    def metadata(self, name: str, *, owned: bool = True, labels: dict[str, str] | None = None) -> dict[str, Any]:
        """Metadata of a child. An owned child is collected with the SLMDeployment."""
        metadata: dict[str, Any] = {
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels | (labels or {}),
        }
        if owned and self.uid:
            metadata["ownerReferences"] = [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": self.name,
                    "uid": self.uid,
                    "controller": True,
                    # Foreground deletion waits for the children only where this is set; it needs update on finalizers.
                    "blockOwnerDeletion": False,
                }
            ]
        return metadata

    def owned_before(self, child: Manifest) -> bool:
        """Whether garbage collection is about to take the child along with a deleted namesake."""
        owner = _controller(child)
        return owner is not None and (owner["kind"], owner["name"]) == (KIND, self.name) and not self.owns(child)

    def owns(self, child: Manifest) -> bool:
        """Whether the child is ours to write: controlled by this very object, or a cache that an earlier one left."""
        owner = _controller(child)
        if owner is not None:
            return bool(owner.get("uid") == self.uid)
        labels = child["metadata"].get("labels", {})
        return (
            Ref.of(child).kind == "PersistentVolumeClaim"
            and labels.get(RETAINED) == "true"
            and labels.get(DEPLOYMENT) == self.name
        )


def _controller(child: Manifest) -> dict[str, Any] | None:
    return next((o for o in child["metadata"].get("ownerReferences", []) if o.get("controller")), None)
