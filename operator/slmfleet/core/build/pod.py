"""The pod template: one vLLM server, restricted, probed for as long as its model needs."""

from typing import Any, Final

from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.pod import PodOverlay
from slmfleet.api.quantities import seconds
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.durations import start_seconds
from slmfleet.core.names import ENGINE_CONTAINER, TRAFFIC, Names
from slmfleet.core.types import Manifest
from slmfleet.engine.container import COMMAND, MODULE, PORT
from slmfleet.engine.guard import launch
from slmfleet.engine.resolution import Resolution

from . import pod_parts as parts
from .guard import GuardNames, drain_hook, drain_seconds, guard_mounts, guard_volumes

PRE_STOP_SECONDS: Final = 10
"""Without the guard: time for every kube-proxy and load balancer to see that the pod left, before it refuses requests.
"""
EXIT_SECONDS: Final = 15
"""What vLLM takes to leave after its last request (about 10 s on 0.32), and a margin."""
STARTUP_PERIOD_SECONDS: Final = 3
USER_ID: Final = 2000


def pod_template(
    names: Names,
    spec: SLMDeploymentSpec,
    accelerator: AcceleratorClassSpec,
    image: str,
    resolution: Resolution,
    guard: GuardNames | None,
) -> Manifest:
    """The template of the engine pods; `image` is the one that serves spec.engine.version on this platform."""
    overlay = spec.pod
    drain = seconds(spec.drain.timeout)
    pre_stop = PRE_STOP_SECONDS if guard is None else drain_seconds(spec)
    template: Manifest = {
        "metadata": {"labels": {**(overlay.labels or {}), **names.labels, TRAFFIC: "true"}},
        "spec": {
            "serviceAccountName": overlay.service_account_name or names.service_account,
            "automountServiceAccountToken": False,
            # A Service named "vllm" would otherwise inject VLLM_PORT=tcp://... and vLLM dies reading it (vllm#34199).
            "enableServiceLinks": False,
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": pre_stop + drain + EXIT_SECONDS,
            "securityContext": security_context(overlay),
            "affinity": parts.affinity(names, spec, accelerator),
            "containers": [engine_container(names, spec, accelerator, image, resolution, guarded=guard is not None)],
            "volumes": parts.volumes(
                names, spec, accelerator, resolution, [] if guard is None else guard_volumes(guard)
            ),
            **scheduling(overlay, accelerator),
        },
    }
    if overlay.annotations:
        template["metadata"]["annotations"] = dict(overlay.annotations)
    return template


def engine_container(
    names: Names,
    spec: SLMDeploymentSpec,
    accelerator: AcceleratorClassSpec,
    image: str,
    resolution: Resolution,
    *,
    guarded: bool,
) -> Manifest:
    """The container that runs vLLM."""
    budget = start_seconds(spec)
    return {
        "name": ENGINE_CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": launch(MODULE) if guarded else list(COMMAND),
        "args": resolution.argv,
        "env": parts.environment(spec, resolution.variables, budget),
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": parts.resources(spec, accelerator, resolution.host_memory),
        # vLLM does not listen until the model is loaded, so liveness must wait for a startup probe of its own.
        "startupProbe": _fatal(_health(STARTUP_PERIOD_SECONDS, 3, -(-budget // STARTUP_PERIOD_SECONDS))),
        "readinessProbe": _health(5, 3, 3),
        # /health answers slowly under load: a minute of silence, not one slow answer, is a dead engine.
        "livenessProbe": _fatal(_health(10, 10, 6)),
        "lifecycle": {"preStop": pre_stop_hook(spec, guarded=guarded)},
        # The message file stays empty: the default's fallback would copy unredacted log lines into the pod's status.
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": parts.mounts(names, spec, resolution.files, guard_mounts() if guarded else []),
    }


def pre_stop_hook(spec: SLMDeploymentSpec, *, guarded: bool) -> Manifest:
    """What happens between a pod's deletion and SIGTERM."""
    if guarded:
        return drain_hook(spec, seconds(spec.drain.timeout))
    return {"sleep": {"seconds": PRE_STOP_SECONDS}}


def security_context(overlay: PodOverlay) -> Manifest:
    """Who the engine is; without user and group where the namespace decides."""
    context: Manifest = {"runAsNonRoot": True}
    if not overlay.ids_from_namespace:
        group = overlay.fs_group or USER_ID
        context |= {"runAsUser": overlay.run_as_user or USER_ID, "runAsGroup": group, "fsGroup": group}
        context["fsGroupChangePolicy"] = "OnRootMismatch"
    if overlay.supplemental_groups:
        context["supplementalGroups"] = list(overlay.supplemental_groups)
    return context | {"seccompProfile": {"type": "RuntimeDefault"}}


def scheduling(overlay: PodOverlay, accelerator: AcceleratorClassSpec) -> dict[str, Any]:
    """What the user and the accelerator class say about nodes, besides affinity; absent keys stay absent."""
    tolerations = [t.to_manifest() for t in [*(accelerator.tolerations or []), *(overlay.tolerations or [])]]
    wanted: dict[str, Any] = {
        "nodeSelector": overlay.node_selector,
        "tolerations": tolerations,
        "topologySpreadConstraints": overlay.topology_spread_constraints,
        "priorityClassName": overlay.priority_class_name,
        "runtimeClassName": accelerator.runtime_class_name,
        "imagePullSecrets": [secret.to_manifest() for secret in overlay.image_pull_secrets or []],
    }
    return {key: value for key, value in wanted.items() if value}


def _health(period: int, timeout: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": "/health", "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _fatal(probe: Manifest) -> Manifest:
    """A probe whose failure restarts the container: an engine that does not answer has no requests to finish."""
    return probe | {"terminationGracePeriodSeconds": EXIT_SECONDS * 2}
