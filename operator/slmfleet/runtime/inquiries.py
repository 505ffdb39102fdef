"""What a plan asks for and no watch delivers: logs, last words, events, and objects that carry no label of ours."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from slmfleet.core.types import Inquiry, JobProgress, LastWords, LogRequest, Manifest, Ref
from slmfleet.kube.client import Client
from slmfleet.kube.errors import NotFoundError
from slmfleet.kube.job_progress import ProgressOfJobs
from slmfleet.kube.last_words import LastWordsOfJobs
from slmfleet.kube.logs import Logs
from slmfleet.kube.pod_events import latest_warning
from slmfleet.kube.resources import resource_of


@dataclass(frozen=True)
class Inquiries:
    """The ways to their answers."""

    client: Client
    logs: Logs
    last_words: LastWordsOfJobs
    progress: ProgressOfJobs

    async def answer(self, namespace: str, inquiry: Inquiry) -> str:
        """What there is to be told; "" for nothing. Raises KubeError."""
        if isinstance(inquiry, LogRequest):
            return await self.logs.tail(namespace, inquiry.pod, inquiry.container, key=inquiry.key)
        if isinstance(inquiry, LastWords):
            return await self.last_words.of(namespace, inquiry.job, key=inquiry.key)
        if isinstance(inquiry, JobProgress):
            return await self.progress.of(namespace, inquiry.job, key=inquiry.key)
        return await latest_warning(self.client, namespace, inquiry.uid)


async def read(client: Client, namespace: str, refs: Iterable[Ref]) -> dict[Ref, Manifest]:
    """Which of these objects exist, read live. Raises KubeError."""

    async def one(ref: Ref) -> tuple[Ref, Manifest] | None:
        try:
            return ref, await client.get(resource_of(ref.api_version, ref.kind), namespace, ref.name)
        except NotFoundError:
            return None

    return dict(item for item in await asyncio.gather(*map(one, refs)) if item is not None)
