"""The operator, installed from this checkout's chart, as pods."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from e2e.cluster.settings import REPOSITORY

from .api import Object
from .cluster import Cluster
from .commands import CommandError
from .dump import OPERATOR_LABELS, OPERATOR_NAMESPACE, dump
from .openai import Endpoint
from .processes import process_of
from .reach import reach
from .waiting import eventually

RELEASE = "slmfleet"
CHART = REPOSITORY / "charts" / "slmfleet"
METRICS_PORT = 8080
START_SECONDS = 240
# From a leader's death to its successor's first write: the lease's 15 s, a try every 2 s, reading the cluster.
TAKEOVER_SECONDS = 30


@dataclass(frozen=True)
class Installation:
    """The release in the namespace slmfleet-system."""

    cluster: Cluster
    image: str
    values: tuple[str, ...] = ()
    """Of its chart, whatever it is upgraded to."""

    def upgrade(self, image: str, *values: str) -> list[str]:
        """`helm upgrade --install` with this image and these values, until it runs; helm's and the API's warnings."""
        always = (f"image.ref={image}", "image.pullPolicy=IfNotPresent", "replicas=2", "logFormat=text")
        sets = [word for value in (*always, *self.values, *values) for word in ("--set", value)]
        # On the local cluster the CRDs may come from a plain `kubectl apply`.
        own = ["--take-ownership"] if self.cluster.local else []
        result = self.cluster.helm("upgrade", "--install", RELEASE, str(CHART), "-n", OPERATOR_NAMESPACE, *own, *sets)
        self.works()
        return result.warnings

    def complete(self) -> None:
        """Wait until all replicas run: the successor of one that was killed may still be on its way."""
        self.kubectl("rollout", "status", f"deployment/{RELEASE}", f"--timeout={START_SECONDS}s")

    def works(self) -> None:
        """Wait until all replicas run and one of them leads."""
        self.complete()
        self.eventually(lambda: self.leader() in self.pods(), "a replica leads", START_SECONDS)

    @contextmanager
    def upgraded(self, image: str, *values: str) -> Iterator[None]:
        """Another image of the operator, or other values, for as long as the body runs."""
        self.upgrade(image, *values)
        try:
            yield
        finally:
            self.upgrade(self.image)

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the operator's namespace; its output."""
        return self.cluster.kubectl("-n", OPERATOR_NAMESPACE, *arguments).stdout

    def pods(self) -> list[str]:
        """The names of the operator's pods that are not on their way out."""
        return [pod["metadata"]["name"] for pod in self._objects() if "deletionTimestamp" not in pod["metadata"]]

    def _objects(self) -> list[Object]:
        return self.cluster.api.objects("pod", OPERATOR_NAMESPACE, OPERATOR_LABELS)

    def lease(self) -> Object:
        """The record that decides which replica works."""
        found = self.cluster.api.find("lease", OPERATOR_NAMESPACE, RELEASE)
        assert found is not None, "there is no lease"
        spec: Object = found["spec"]
        return spec

    def leader(self) -> str:
        """The pod that holds the lease; empty when none does."""
        return str(self.lease().get("holderIdentity") or "").partition("_")[0]

    def kill(self, pod: str) -> None:
        """End a replica without a chance to tidy up.

        A kubelet always sends SIGTERM first, even to a pod that is deleted by force. So on the local cluster its
        process is killed before; elsewhere the forced deletion, with two seconds for the process, comes closest.
        """
        if self.cluster.local:
            os.kill(process_of(pod), signal.SIGKILL)
        self.kubectl("delete", "pod", pod, "--grace-period=0", "--force")

    @contextmanager
    def away(self) -> Iterator[None]:
        """No replica runs for as long as the body does."""
        self.kubectl("scale", f"deployment/{RELEASE}", "--replicas=0")
        try:
            self.eventually(lambda: not self._objects(), "no replica is left", START_SECONDS)
            yield
        finally:
            self.kubectl("scale", f"deployment/{RELEASE}", "--replicas=2")
            self.works()

    def metric(self, pod: str, name: str) -> dict[str, float]:
        """The samples of one metric of one replica: labels, as the exposition writes them, to value."""
        with self.metrics(pod) as endpoint:
            lines = endpoint.get("/metrics").splitlines()
        samples = (line.rpartition(" ") for line in lines if line.startswith((f"{name}{{", f"{name} ")))
        return {labels.removeprefix(name): float(value) for labels, _, value in samples}

    @contextmanager
    def metrics(self, pod: str) -> Iterator[Endpoint]:
        """Where a replica serves /metrics and /readyz."""
        with reach(self.cluster, OPERATOR_NAMESPACE, f"pod/{pod}", METRICS_PORT) as endpoint:
            yield endpoint

    def eventually(self, predicate: Callable[[], object], what: str, within: float) -> None:
        """Wait for something about the operator itself."""
        eventually(predicate, within=within, what=what, explain=lambda: dump(self.cluster, OPERATOR_NAMESPACE))


@contextmanager
def installed(cluster: Cluster, image: str, *values: str) -> Iterator[Installation]:
    """The operator with its chart's CRDs and these values of it, in a namespace that enforces Pod Security.

    On a user's own cluster it is removed at the end; its CRDs stay, as the chart says. One that the user installed is
    never replaced: CommandError.
    """
    if not cluster.local and cluster.helm("list", "--all-namespaces", "-q", "--filter", "slmfleet").stdout.strip():
        raise CommandError("this cluster runs slmfleet already, and it would be replaced: use another cluster")
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE, "labels": labels}}
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))
    installation = Installation(cluster, image, values)
    installation.upgrade(image)
    try:
        yield installation
    finally:
        if not cluster.local:
            cluster.helm("uninstall", RELEASE, "-n", OPERATOR_NAMESPACE)
