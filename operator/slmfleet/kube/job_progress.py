"""What the running pod of a Job says last, or why it does not run."""

import logging
from functools import partial
from math import inf
from typing import Final

from .asked import Asked
from .client import Client
from .errors import KubeError
from .last_words import JOB_LABEL
from .pod_events import latest_warning
from .resources import PODS, Manifest, name_of, uid_of

BYTES: Final = 4096
_KEPT: Final = 1024
_QUIET: Final = frozenset({"ContainerCreating", "PodInitializing"})
"""The kubelet's reasons for a container that waits for nothing special."""

logger = logging.getLogger(__name__)


class ProgressOfJobs:
    """Last lines, each read once per key. The pods of Jobs are in no cache."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked = Asked(_KEPT, again=inf)

    async def of(self, namespace: str, job: str, *, key: str) -> str:
        """One line, "" while there is none. Never fails: it only explains.

        `key` changes as time passes, so that the line is a recent one; it is asked for once.
        """
        return await self._asked.text(key, partial(self._told, namespace, job))

    async def _told(self, namespace: str, job: str) -> str:
        try:
            return await self._ask(namespace, job)
        except KubeError as error:
            about = {"kind": "Job", "namespace": namespace, "name": job}
            logger.info("nothing is known of its pod: %s", error, extra={"object": about})
            return ""

    async def _ask(self, namespace: str, job: str) -> str:
        pods, _ = await self._client.list(PODS, namespace, labels=f"{JOB_LABEL}={job}")
        alive = [pod for pod in pods if pod.get("status", {}).get("phase") in ("Pending", "Running")]
        pod = max(alive, key=lambda p: str(p["metadata"].get("creationTimestamp", "")), default=None)
        if pod is None:
            return ""
        for container in pod["status"].get("containerStatuses") or ():
            if "running" in container.get("state", {}):
                return await self._last_line(namespace, name_of(pod)[1], container["name"])
        return _waiting(pod) or await latest_warning(self._client, namespace, uid_of(pod))

    async def _last_line(self, namespace: str, pod: str, container: str) -> str:
        query = [("container", container), ("tailLines", "1"), ("limitBytes", str(BYTES))]
        tail = await self._client.pod_log(namespace, pod, query, limit=BYTES)
        return tail.decode(errors="replace").strip()


def _waiting(pod: Manifest) -> str:
    """In the scheduler's words, or the kubelet's."""
    for condition in pod["status"].get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message", ""))
    states = (container.get("state", {}) for container in pod["status"].get("containerStatuses") or ())
    waiting: Manifest = next((state["waiting"] for state in states if "waiting" in state), {})
    if waiting.get("reason", "") in {"", *_QUIET}:
        return ""
    return f"{waiting['reason']}: {waiting.get('message', '')}"
