"""The PersistentVolumeClaim of the model cache."""

from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.names import RETAINED, Names
from slmfleet.core.types import Manifest


def cache_claim(names: Names, spec: SLMDeploymentSpec) -> Manifest | None:
    """The claim for downloaded weights; none where the user brings one or wants none.

    A retained claim has no owner, so that garbage collection leaves it; its label lets a deployment of the same name
    find it again.
    """
    cache = spec.model.cache
    if cache is None or cache.size is None:
        return None
    retain = (cache.when_deleted or "Retain") == "Retain"
    claim: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": names.metadata(names.cache_claim, owned=not retain, labels={RETAINED: "true"} if retain else None),
        "spec": {
            "accessModes": [cache.access_mode or "ReadWriteOnce"],
            "resources": {"requests": {"storage": cache.size}},
        },
    }
    if cache.storage_class_name is not None:
        claim["spec"]["storageClassName"] = cache.storage_class_name
    return claim
