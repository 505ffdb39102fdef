"""The Deployment around a pod template."""

from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.durations import start_seconds
from slmfleet.core.names import REVISION, Names
from slmfleet.core.types import Manifest

SCHEDULING_SLACK_SECONDS = 120
"""For the scheduler, the image pull's last bytes and the API server's own delays."""


def deployment(
    names: Names,
    spec: SLMDeploymentSpec,
    accelerator: AcceleratorClassSpec,
    template: Manifest,
    revision: str,
    replicas: int,
) -> Manifest:
    """The Deployment that runs `template`, as stored in `revision`, on `replicas` pods."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": names.metadata(names.name, labels={REVISION: revision}),
        "spec": {
            "replicas": replicas,
            # Templates are kept in ControllerRevisions; one old ReplicaSet is enough for `kubectl rollout undo`'s sake.
            "revisionHistoryLimit": 1,
            "progressDeadlineSeconds": progress_deadline(spec, template),
            "selector": {"matchLabels": names.selector},
            "strategy": strategy(spec, accelerator),
            "template": template,
        },
    }


def strategy(spec: SLMDeploymentSpec, accelerator: AcceleratorClassSpec) -> Manifest:
    """How pods are replaced: without surge on GPUs, since a full cluster has none to spare, else without a gap."""
    surge = spec.rollout.max_surge
    unavailable = spec.rollout.max_unavailable
    if surge is None:
        surge = 1 if accelerator.resource_name is None or unavailable == 0 else 0
    if unavailable is None:
        unavailable = 1 if surge == 0 else 0
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def progress_deadline(spec: SLMDeploymentSpec, template: Manifest) -> int:
    """Seconds without progress after which a rollout has failed: the old pod's drain, then the new one's start."""
    drain: int = template["spec"]["terminationGracePeriodSeconds"]
    return start_seconds(spec) + drain + SCHEDULING_SLACK_SECONDS
