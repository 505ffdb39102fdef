"""What the pods of a Job said when they ended: their termination messages."""

from functools import partial
from typing import Final

from .asked import Asked
from .client import Client
from .resources import PODS, Manifest

_KEPT: Final = 1024
JOB_LABEL: Final = "batch.kubernetes.io/job-name"
"""The label of a Job's pods, by its controller."""


class LastWordsOfJobs:
    """Termination messages, each read once per end of a Job. The pods of Jobs are in no cache."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked = Asked(_KEPT, again=0.0)

    async def of(self, namespace: str, job: str, *, key: str) -> str:
        """The message of the newest pod that has ended; "" where there is none. Raises KubeError.

        `key` names the Job's end: it is asked for once, unless nobody had said anything.
        """
        return await self._asked.text(key, partial(self._read, namespace, job))

    async def _read(self, namespace: str, job: str) -> str:
        pods, _ = await self._client.list(PODS, namespace, labels=f"{JOB_LABEL}={job}")
        return _newest(pods)


def _newest(pods: list[Manifest]) -> str:
    """RFC 3339 in UTC sorts as text."""
    ends = [
        (str(ended.get("finishedAt") or ""), str(ended.get("message") or ""))
        for pod in pods
        for status in pod.get("status", {}).get("containerStatuses") or ()
        if (ended := status.get("state", {}).get("terminated")) is not None
    ]
    return max(ends, default=("", ""))[1]
