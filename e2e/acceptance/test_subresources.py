"""Scale, status, columns and limits: what the CRD promises beside the schema."""

from collections.abc import Callable
from typing import Any

import yaml

from .kubectl import NAMESPACE, Kubectl
from .test_cases import BASE, merged

SLM = BASE["SLMDeployment"]
Store = Callable[[dict[str, Any]], str]


def replicas(kubectl: Kubectl, name: str) -> int:
    return int(kubectl("get", name, "-o", "jsonpath={.spec.replicas}").out)


def scale_of(kubectl: Kubectl, name: str) -> dict[str, Any]:
    short = name.split("/")[1]
    path = f"/apis/slmfleet.dev/v1alpha1/namespaces/{NAMESPACE}/slmdeployments/{short}/scale"
    return kubectl("get", "--raw", path).json()


def test_kubectl_scale_writes_the_replicas(kubectl: Kubectl, stored: Store) -> None:
    name = stored(SLM)
    assert kubectl("scale", name, "--replicas=3").ok
    assert replicas(kubectl, name) == 3


def test_scale_shows_a_deployment_that_never_set_replicas(kubectl: Kubectl, stored: Store) -> None:
    assert scale_of(kubectl, stored(SLM))["spec"] == {"replicas": 1}


def test_scale_is_bounded_like_the_field(kubectl: Kubectl, stored: Store) -> None:
    name = stored(SLM)
    answer = kubectl("scale", name, "--replicas=1001")
    assert not answer.ok
    assert "spec.replicas in body should be less than or equal to 1000" in answer.err
    assert replicas(kubectl, name) == 1


def test_scale_is_refused_while_scaling_decides(kubectl: Kubectl, stored: Store) -> None:
    """What an HPA meets, too: it writes the same subresource."""
    name = stored(merged(SLM, {"spec": {"scaling": {"maxReplicas": 4}}}))
    answer = kubectl("scale", name, "--replicas=3")
    assert not answer.ok
    assert "spec.scaling decides the replicas: remove it, or the HPA/KEDA that writes them" in answer.err
    assert replicas(kubectl, name) == 1
    assert kubectl("scale", name, "--replicas=1").ok


def test_the_status_is_written_apart_from_the_spec(kubectl: Kubectl, stored: Store) -> None:
    name = stored(SLM | {"status": {"phase": "Ready"}})
    patch = yaml.safe_dump({"spec": {"replicas": 7}, "status": {"selector": "a=b", "replicas": 2}})
    answer = kubectl("patch", name, "--subresource=status", "--type=merge", "--patch", patch)
    assert answer.ok, answer.err
    assert replicas(kubectl, name) == 1
    assert scale_of(kubectl, name)["status"] == {"replicas": 2, "selector": "a=b"}


def test_get_shows_what_a_fleet_is_doing(kubectl: Kubectl, stored: Store) -> None:
    condition: dict[str, Any] = {"type": "Ready", "status": "False", "reason": "Unschedulable", "message": "m"}
    condition |= {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    status = {
        "ready": "1/2",
        "desiredReplicas": 2,
        "gpus": 2,
        "phase": "Degraded",
        "url": "http://x",
        "conditions": [condition],
    }
    name = stored(merged(SLM, {"spec": {"replicas": 2}}))
    patch = yaml.safe_dump({"status": status})
    assert kubectl("patch", name, "--subresource=status", "--type=merge", "--patch", patch).ok
    header, row = (line.split() for line in kubectl("get", name, "-o", "wide").out.splitlines())
    assert header == ["NAME", "MODEL", "READY", "DESIRED", "GPUS", "PHASE", "AGE", "URL", "ENGINE", "REASON"]
    short, model, ready, desired, gpus, phase, _age, url, engine, reason = row
    assert short == name.split("/")[1]
    assert (model, ready, desired, gpus) == ("hf://Qwen/Qwen3-0.6B", "1/2", "2", "2")
    assert (phase, url, engine, reason) == ("Degraded", "http://x", "0.32.0", "Unschedulable")


def test_get_shows_the_narrow_columns_by_default(kubectl: Kubectl, stored: Store) -> None:
    header = kubectl("get", stored(SLM)).out.splitlines()[0].split()
    assert header == ["NAME", "MODEL", "READY", "DESIRED", "GPUS", "PHASE", "AGE"]


def test_get_shows_an_accelerator_class(kubectl: Kubectl, stored: Store) -> None:
    name = stored(merged(BASE["AcceleratorClass"], {"spec": {"costPerHour": "0.81"}}))
    header, row = (line.split() for line in kubectl("get", "accel", name.split("/")[1]).out.splitlines())
    assert header == ["NAME", "PLATFORM", "MEMORY", "RESOURCE", "COST/H", "AGE"]
    assert row[1:5] == ["cuda", "23034Mi", "nvidia.com/gpu", "0.81"]


def test_fleets_are_among_all(kubectl: Kubectl, stored: Store) -> None:
    name = stored(SLM)
    assert name in kubectl("get", "all", "-o", "name").out.splitlines()


def test_defaults_are_no_drift(kubectl: Kubectl, stored: Store) -> None:
    """What Argo CD compares: a dry-run apply of the manifest against the object in the cluster."""
    manifest = merged(SLM, {"metadata": {"name": stored(SLM).split("/")[1]}})
    for how in ([], ["--server-side", "--force-conflicts"]):
        answer = kubectl("diff", *how, "-f", "-", stdin=manifest)
        assert (answer.ok, answer.out) == (True, "")


def test_the_largest_object_stays_within_the_cost_of_its_rules(kubectl: Kubectl) -> None:
    key = "p" * 253 + "/" + "n" * 60
    keys = [f"{key}{number:03}" for number in range(32)]
    pod = {
        "labels": dict.fromkeys(keys, "v" * 63),
        "annotations": dict.fromkeys(keys, "v" * 2000),
        "nodeSelector": dict.fromkeys(keys, "v" * 63),
        "resources": {kind: dict.fromkeys(keys[:16], "1" * 32) for kind in ("requests", "limits")},
        "env": [{"name": f"{'E' * 120}{number:03}", "value": "v" * 4000} for number in range(64)],
        "volumes": [
            {"name": f"v{number}", "mountPath": f"/{'d/' * 120}{number}", "emptyDir": {}} for number in range(16)
        ],
    }
    engine = {"extraArgs": [f"--max-{'x' * 2000}={number}" for number in range(64)]}
    model = {"uri": f"hf://owner/{'m' * 500}", "servedNames": [f"{'s' * 120}{number}" for number in range(8)]}
    requirement = {"operator": "NotIn", "values": ["v" * 63] * 32}
    selector = {
        "matchLabels": dict.fromkeys(keys[:16], "v" * 63),
        "matchExpressions": [requirement | {"key": k} for k in keys[:8]],
    }
    block = {"cidr": "2001:db8::/32", "except": [f"2001:db8:{number}::/48" for number in range(16)]}
    pods = {"podSelector": selector, "namespaceSelector": selector}
    access = {"from": [{"ipBlock": block} if number % 2 else pods for number in range(16)]}
    spec = {"pod": pod, "engine": engine, "model": model, "access": access}
    answer = kubectl.try_create(merged(SLM, {"spec": spec}))
    assert answer.ok, answer.err[:2000]
