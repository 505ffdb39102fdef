"""How a pod stands, read from its manifest; what its status does not tell is not so yet."""

from typing import Final

from .names import ENGINE_CONTAINER
from .types import Manifest

NO_IMAGE: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
"""The kubelet's reasons for a container that waits because its image cannot be had (pkg/kubelet/images/types.go and
k8s.io/cri-api/pkg/errors of 1.35). Whatever made a pull fail, it alternates with ImagePullBackOff."""
NOT_MADE: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
"""Its reasons for one that it cannot make or start from an image that is there."""
_OVER: Final = frozenset({"Failed", "Succeeded"})


def is_ready(pod: Manifest) -> bool:
    """Whether its condition Ready is True."""
    return condition(pod, "Ready").get("status") == "True"


def is_ending(pod: Manifest) -> bool:
    """Whether somebody has deleted it, and it is on its way out."""
    return "deletionTimestamp" in pod["metadata"]


def is_finished(pod: Manifest) -> bool:
    """Phase Failed or Succeeded (evicted, say): it will never run again."""
    return pod.get("status", {}).get("phase") in _OVER


def condition(pod: Manifest, kind: str) -> Manifest:
    """One of its conditions; empty where there is none of that type yet."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return next((dict(c) for c in conditions if c["type"] == kind), {})


def engine_status(pod: Manifest) -> Manifest:
    """The status of its engine container; empty where there is none yet."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return next((dict(status) for status in statuses if status["name"] == ENGINE_CONTAINER), {})


def incarnation(pod: Manifest) -> str:
    """Tells a pod's engine from the one that is started after it; empty before the first."""
    return str(engine_status(pod).get("containerID", ""))
