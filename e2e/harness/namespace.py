"""A namespace of a scenario's own: applying manifests, looking at what follows, waiting for it."""

import base64
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from string import Template
from typing import NamedTuple, TypeVar

from .api import Object
from .cluster import Cluster
from .dump import dump
from .images import Images
from .openai import Endpoint
from .processes import process_of
from .reach import reach
from .waiting import eventually

T = TypeVar("T")
PATIENCE_SECONDS = 180.0
"""A few seconds on a machine that has nothing else to do; a busy one may take many times as long."""
ENGINE_SECONDS = 600.0
"""What the operator gives the real vLLM for its start (`slmfleet.engine.startup`): alone on two cores it needs a minute
or two, beside other work several times as long."""


class Condition(NamedTuple):
    """What a condition says about the present spec."""

    status: str
    reason: str
    message: str


def condition_of(found: Object, kind: str) -> Condition:
    """A condition of an object; fails while it does not speak about the present spec."""
    for condition in found.get("status", {}).get("conditions", []):
        if condition["type"] == kind and condition["observedGeneration"] == found["metadata"]["generation"]:
            return Condition(condition["status"], condition["reason"], condition["message"])
    raise AssertionError(f"{found['metadata']['name']} has no condition {kind} for its present generation")


@dataclass(frozen=True)
class Namespace:
    """A namespace; pods in it must meet the Pod Security Standard `restricted`."""

    name: str
    cluster: Cluster
    images: Images

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in this namespace; its output. CommandError if it fails."""
        return self.cluster.kubectl("-n", self.name, *arguments, stdin=stdin).stdout

    def apply(self, manifest: str, *options: str) -> None:
        """`kubectl apply`, in which the API server must not warn about anything."""
        result = self.cluster.kubectl("-n", self.name, "apply", *options, "-f", "-", stdin=self.filled(manifest))
        assert result.warnings == []

    def apply_refused(self, manifest: str) -> str:
        """What the API server says to a manifest that it refuses."""
        result = self.cluster.commands.run("kubectl", "-n", self.name, "apply", "-f", "-", stdin=self.filled(manifest))
        assert result.code, f"accepted: {result.stdout}"
        return result.stderr

    def patch(self, name: str, spec: Object, *, of: str = "slm") -> None:
        """Change fields of a spec, by default an SLMDeployment's, as `kubectl patch` does."""
        self.kubectl("patch", of, name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def filled(self, manifest: str) -> str:
        """The manifest with `$simulator` and `$engine` replaced by the images' names."""
        used = [name for name in ("simulator", "engine") if f"${name}" in manifest]
        return Template(manifest).substitute({name: getattr(self.images, name) for name in used})

    def find(self, kind: str, name: str) -> Object | None:
        """An object, or None if there is none."""
        return self.cluster.api.find(kind, self.name, name)

    def get(self, kind: str, name: str) -> Object:
        """An object that must exist."""
        found = self.find(kind, name)
        assert found is not None, f"there is no {kind} {name}"
        return found

    def objects(self, kind: str, labels: str = "") -> list[Object]:
        """Objects of a kind, oldest first."""
        return self.cluster.api.objects(kind, self.name, labels)

    def pods(self, slm: str) -> list[Object]:
        """The engine pods of an SLMDeployment that are not on their way out, oldest first."""
        pods = self.objects("pod", f"slmfleet.dev/deployment={slm}")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def condition(self, name: str, kind: str, *, of: str = "slm") -> Condition:
        """A condition, by default an SLMDeployment's; fails while it does not speak about the present spec."""
        return condition_of(self.get(of, name), kind)

    def eventually(self, predicate: Callable[[], T], what: str, within: float = PATIENCE_SECONDS) -> T:
        """The first true answer of `predicate`; after the deadline an error with everything that helps to see why."""
        return eventually(predicate, within=within, what=what, explain=lambda: dump(self.cluster, self.name))

    def becomes(
        self, name: str, kind: str, reason: str, within: float = PATIENCE_SECONDS, *, of: str = "slm"
    ) -> Condition:
        """Wait until a condition has this reason; the condition."""

        def said() -> Condition:
            condition = self.condition(name, kind, of=of)
            assert condition.reason == reason, " ".join(condition)
            return condition

        return self.eventually(said, f"{name}: condition {kind} with reason {reason}", within)

    def becomes_ready(self, name: str, within: float = PATIENCE_SECONDS, *, of: str = "slm") -> Condition:
        """Wait until an SLMDeployment, or another kind `of` ours, is Ready."""
        return self.becomes(name, "Ready", "Ready", within, of=of)

    def guard_token(self, slm: str) -> str:
        """What opens the administrative routes of an SLMDeployment's engines."""
        (secret,) = self.objects("secret", f"slmfleet.dev/deployment={slm}")
        return base64.b64decode(secret["data"]["token"]).decode()

    def crash(self, pod: str) -> None:
        """The engine of a pod ends, and is started again there; on the local cluster without a farewell."""
        if self.cluster.local:
            os.kill(process_of(pod), signal.SIGKILL)
        else:
            self.kubectl("exec", pod, "--", "python3", "-c", "import os, signal; os.kill(1, signal.SIGTERM)")

    @contextmanager
    def service(self, name: str, port: int = 80) -> Iterator[Endpoint]:
        """An address at which this machine reaches a Service for as long as the body runs."""
        with reach(self.cluster, self.name, f"service/{name}", port) as endpoint:
            yield endpoint


@contextmanager
def namespace(cluster: Cluster, images: Images, name: str, **labels: str) -> Iterator[Namespace]:
    """A new namespace that enforces Pod Security and in which pods can be made; its deletion is not waited for."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted", **labels}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    found = Namespace(name, cluster, images)
    try:
        # A controller makes it: a pod that comes before is refused, within two seconds or so.
        found.eventually(lambda: found.find("serviceaccount", "default"), "the namespace has its service account")
        yield found
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")
