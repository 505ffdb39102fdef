"""An operator for some namespaces: the Roles that the chart gives it there suffice, and it leaves all others alone."""

from e2e.harness.dump import OPERATOR_NAMESPACE
from e2e.harness.installation import RELEASE, Installation
from e2e.harness.namespace import Namespace, namespace

MANIFEST = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: support
spec:
  model:
    uri: image:///models/tiny
  engine:
    version: 0.32.0
    image: $simulator
  accelerator:
    class: cpu
  drain:
    timeout: 5s
  pod:
    resources:
      requests: {cpu: 50m, memory: 128Mi}
"""


def test_an_operator_for_some_namespaces_works_there_and_only_there(chat: Namespace, operator: Installation) -> None:
    with namespace(operator.cluster, chat.images, f"{chat.name}-not") as outside:
        outside.apply(MANIFEST)
        outside.becomes_ready("support")
        before = outside.get("deployment", "support")["metadata"]["generation"]

        with operator.upgraded(operator.image, f"watchNamespaces={{{chat.name}}}"):
            assert _may(operator, "patch", "deployments", chat)
            assert not _may(operator, "list", "slmdeployments", outside)
            outside.patch("support", {"replicas": 2})

            # Everything that the operator does for a fleet: creating, scaling, repairing, events, status, deleting.
            chat.apply(MANIFEST)
            chat.becomes_ready("support")
            chat.kubectl("scale", "slm", "support", "--replicas=2")
            chat.becomes("support", "Progressing", "UpToDate")
            chat.eventually(lambda: len(chat.pods("support")) == 2, "there is a second replica")
            chat.kubectl("delete", "service", "support")
            chat.eventually(lambda: chat.find("service", "support"), "the Service is back")
            chat.eventually(lambda: "SLMDeployment" in chat.kubectl("events"), "it has events")
            chat.kubectl("delete", "slm", "support")
            chat.eventually(lambda: not chat.objects("deployment"), "its Deployment is gone")

            assert "forbidden" not in operator.kubectl("logs", f"deployment/{RELEASE}", "--all-pods").lower()
            assert outside.get("deployment", "support")["metadata"]["generation"] == before

        outside.becomes_ready("support")
        outside.eventually(lambda: len(outside.pods("support")) == 2, "what was asked meanwhile is done")


def _may(operator: Installation, verb: str, resource: str, where: Namespace) -> bool:
    who = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{RELEASE}"
    result = operator.cluster.commands.run("kubectl", "-n", where.name, "auth", "can-i", verb, resource, f"--as={who}")
    return result.stdout.strip() == "yes"
