"""Who reaches an engine: its own namespace, the operator, the scrapers and whom the spec names; nobody else."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.cluster import lifecycle
from e2e.cluster.console import Console
from e2e.cluster.settings import Settings
from e2e.harness.cluster import Cluster
from e2e.harness.dump import OPERATOR_NAMESPACE
from e2e.harness.installation import Installation
from e2e.harness.namespace import Namespace, namespace

pytestmark = pytest.mark.network_policy

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
  access:
    networkPolicy: None
  drain:
    timeout: 5s
  pod:
    resources:
      requests: {cpu: 50m, memory: 128Mi}
"""
# A policy of the platform's own, which lets nobody in.
DENIED = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: platform
spec:
  podSelector: {matchLabels: {slmfleet.dev/deployment: support}}
  policyTypes: [Ingress]
"""
NOT_ENFORCED = (
    "this cluster's network enforces no NetworkPolicies: leave this scenario out with -m 'not network_policy'"
)
# An answer of any kind is a connection; a plug-in may refuse one or stay silent.
CONNECT = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 3) as connection:
        connection.settimeout(10)
        connection.sendall(b"GET /health HTTP/1.0\\r\\n\\r\\n")
        print(connection.recv(12).decode())
except (ConnectionRefusedError, TimeoutError):
    print("closed")
"""
EVERYBODY = ("neighbour", "gateway", "stranger", "operator", "bystander")


@pytest.fixture
def enforced(cluster: Cluster) -> Iterator[None]:
    """The local cluster's network enforces no policies by itself; of another one the scenario finds it out."""
    if not cluster.local:
        yield
        return
    with lifecycle.enforcing(Settings(), Console(quiet=True)):
        yield


class Clients:
    """Pods that try to connect: in the engine's namespace, in the operator's and in a third one."""

    def __init__(self, chat: Namespace, elsewhere: Namespace, operator: Installation) -> None:
        self._chat = chat
        self._operator = operator
        self._cluster = chat.cluster
        self._started = {
            "neighbour": (chat.name, "neighbour"),
            "gateway": (elsewhere.name, "gateway"),
            "stranger": (elsewhere.name, "stranger"),
            "bystander": (OPERATOR_NAMESPACE, f"bystander-{chat.name}"),
        }

    def start(self) -> None:
        """Make them; the operator's own pod is there already."""
        for role, (where, name) in self._started.items():
            self._cluster.kubectl(
                "-n", where, "apply", "-f", "-", stdin=client(name, role, self._chat.images.simulator)
            )
        for where, name in self._started.values():
            self._cluster.kubectl("-n", where, "wait", f"pod/{name}", "--for=condition=Ready", "--timeout=180s")

    def remove(self) -> None:
        """The one in the namespace that stays."""
        where, name = self._started["bystander"]
        self._cluster.kubectl("-n", where, "delete", "pod", name, "--ignore-not-found", "--wait=false")

    def are_exactly(self, *roles: str) -> bool:
        """Whether these reach the engine, by its Service as well as by its pod's address, and the others by neither."""
        (pod,) = self._chat.pods("support")
        targets = {"Service": (f"support.{self._chat.name}.svc", 80), "pod": (pod["status"]["podIP"], 8000)}
        ways = {f"{role} -> {kind}": (role, *target) for role in EVERYBODY for kind, target in targets.items()}
        # Side by side: each that is blocked waits for its timeout.
        with ThreadPoolExecutor(len(ways)) as pool:
            reached = dict(zip(ways, pool.map(lambda way: self._reaches(*way), ways.values()), strict=True))
        assert reached == {way: way.split()[0] in roles for way in reached}
        return True

    def _reaches(self, role: str, host: str, port: int) -> bool:
        where, name = self._started.get(role) or (OPERATOR_NAMESPACE, self._operator.leader())
        command = ("exec", name, "--", "python3", "-c", CONNECT, host, str(port))
        result = self._cluster.commands.run("kubectl", "-n", where, *command)
        said = result.stdout.strip()
        # Its name may not be resolved in time on a busy machine: then nothing is known about the network.
        assert result.code == 0, f"{role} cannot try: {result.stderr[-500:]}"
        assert said in {"closed", "HTTP/1.0 200", "HTTP/1.1 200"}, said
        return said != "closed"


@pytest.mark.usefixtures("enforced")
def test_exactly_those_who_are_let_in_reach_the_engine(chat: Namespace, operator: Installation) -> None:
    with namespace(chat.cluster, chat.images, f"{chat.name}-other", team="web") as elsewhere:
        clients = Clients(chat, elsewhere, operator)
        try:
            chat.apply(MANIFEST)
            clients.start()
            chat.becomes_ready("support")
            _the_network_enforces(chat, clients)
            _the_spec_decides(chat, clients)
            _an_edit_of_the_policy_is_undone(chat, clients)
            _the_installation_lets_scrapers_in(chat, clients, elsewhere.name, operator)
            _switched_off_it_is_gone(chat, clients)
        finally:
            clients.remove()


def _the_network_enforces(chat: Namespace, clients: Clients) -> None:
    """Without a policy of ours everybody gets in, and one of the platform's own decides alone."""
    chat.eventually(lambda: clients.are_exactly(*EVERYBODY), "without a policy everybody reaches the engine")
    chat.apply(DENIED)
    chat.eventually(clients.are_exactly, NOT_ENFORCED)
    chat.kubectl("delete", "networkpolicy", "platform")
    chat.eventually(lambda: clients.are_exactly(*EVERYBODY), "the policy is gone from the network, too")


def _the_spec_decides(chat: Namespace, clients: Clients) -> None:
    (before,) = chat.pods("support")
    gateway = {
        "namespaceSelector": {"matchLabels": {"team": "web"}},
        "podSelector": {"matchLabels": {"role": "gateway"}},
    }
    chat.patch("support", {"access": {"networkPolicy": "Managed"}})
    chat.eventually(lambda: clients.are_exactly("neighbour", "operator"), "the namespace and the operator get in")
    chat.patch("support", {"access": {"from": [gateway]}})
    chat.eventually(lambda: clients.are_exactly("neighbour", "operator", "gateway"), "so does who is named")
    chat.patch("support", {"access": {"sameNamespace": False}})
    chat.eventually(lambda: clients.are_exactly("operator", "gateway"), "the namespace is left out")
    chat.becomes_ready("support")
    assert [pod["metadata"]["uid"] for pod in chat.pods("support")] == [before["metadata"]["uid"]]

    # The kubelet probes a pod that starts behind the policy.
    chat.kubectl("delete", "pod", before["metadata"]["name"], "--wait")
    chat.becomes_ready("support")
    assert [pod["metadata"]["uid"] for pod in chat.pods("support")] != [before["metadata"]["uid"]]
    chat.eventually(lambda: clients.are_exactly("operator", "gateway"), "its successor is behind the policy as well")


def _an_edit_of_the_policy_is_undone(chat: Namespace, clients: Clients) -> None:
    """Even one that adds no peer and lets every namespace in."""
    chat.patch("support", {"access": {"sameNamespace": True, "from": None}})
    chat.eventually(lambda: clients.are_exactly("neighbour", "operator"), "the namespace and the operator get in")
    everywhere = '[{"op": "add", "path": "/spec/ingress/0/from/0/namespaceSelector", "value": {}}]'
    chat.kubectl("patch", "networkpolicy", "support-engine", "--type=json", "-p", everywhere)
    chat.eventually(lambda: _peers(chat)[0] == {"podSelector": {}}, "the policy is as before the edit", within=5)
    chat.eventually(lambda: clients.are_exactly("neighbour", "operator"), "and so is the network")


def _the_installation_lets_scrapers_in(
    chat: Namespace, clients: Clients, elsewhere: str, operator: Installation
) -> None:
    scrapers = (
        f"metricsScrapers[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name={elsewhere}",
        "metricsScrapers[0].podSelector.matchLabels.role=stranger",
    )
    with operator.upgraded(operator.image, *scrapers):
        chat.eventually(lambda: len(_peers(chat)) == 3, "the scrapers are among the peers")
        chat.eventually(lambda: clients.are_exactly("neighbour", "operator", "stranger"), "the scrapers get in")
    chat.eventually(lambda: len(_peers(chat)) == 2, "the scrapers are out again")


def _switched_off_it_is_gone(chat: Namespace, clients: Clients) -> None:
    chat.patch("support", {"access": {"networkPolicy": "None"}})
    chat.eventually(lambda: not chat.objects("networkpolicy"), "there is no policy of ours")
    chat.becomes_ready("support")
    chat.eventually(lambda: clients.are_exactly(*EVERYBODY), "everybody reaches the engine again")


def _peers(chat: Namespace) -> list[dict[str, object]]:
    peers: list[dict[str, object]] = chat.get("networkpolicy", "support-engine")["spec"]["ingress"][0]["from"]
    return peers


def client(name: str, role: str, image: str) -> str:
    container = {
        "name": "client",
        "image": image,
        "command": ["python3", "-c", "import signal; signal.pause()"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"role": role}}, "spec": spec}
    return json.dumps(pod)
