"""What a person would look at when something did not become true."""

from .cluster import Cluster

OPERATOR_NAMESPACE = "slmfleet-system"
OPERATOR_LABELS = "app.kubernetes.io/name=slmfleet,app.kubernetes.io/component=operator"
_LOOKS = {
    "SLMDeployments": ("describe", "slm"),
    "LoRAAdapters": ("get", "lora", "-o", "yaml"),
    "objects": (
        "get",
        "pods,jobs,deployments,replicasets,services,networkpolicies,pvc,pdb,controllerrevisions",
        "-o",
        "wide",
    ),
    "events": ("get", "events", "--sort-by=.lastTimestamp"),
}
_LINES = 80


def dump(cluster: Cluster, namespace: str) -> str:
    """The SLMDeployments as `kubectl describe` shows them, adapters, objects, events, the end of the operator's log."""
    looks = {title: ("-n", namespace, *arguments) for title, arguments in _LOOKS.items()}
    logs = ("logs", "--selector", OPERATOR_LABELS, "--prefix", "--tail=40")
    looks["operator"] = ("-n", OPERATOR_NAMESPACE, "get", "pods", "-o", "wide")
    looks["operator's log"] = ("-n", OPERATOR_NAMESPACE, *logs)
    return "\n".join(f"\n{title}:\n{_said(cluster, *arguments)}" for title, arguments in looks.items())


def _said(cluster: Cluster, *arguments: str) -> str:
    result = cluster.commands.run("kubectl", *arguments)
    return "\n".join((result.stdout + result.stderr).splitlines()[-_LINES:])
