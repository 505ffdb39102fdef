"""What the pods of a Job said when they ended."""

from typing import Any

from slmfleet.kube.last_words import LastWordsOfJobs
from slmfleet.kube.resources import PODS, Manifest

from .fake import FakeClient


def pod(name: str, ended: str | None, message: str | None = None, job: str = "fetch") -> Manifest:
    state: dict[str, Any] = {"running": {}}
    if ended is not None:
        state = {"terminated": {"finishedAt": ended, **({"message": message} if message else {})}}
    labels = {"batch.kubernetes.io/job-name": job}
    metadata = {"name": name, "namespace": "chat", "labels": labels}
    return {"metadata": metadata, "status": {"containerStatuses": [{"name": "fetch", "state": state}]}}


async def test_the_last_pod_of_the_job_has_the_last_word() -> None:
    client = FakeClient()
    client.seed(PODS, pod("b", "2026-01-01T00:00:05Z", "first"))
    client.seed(PODS, pod("a", "2026-01-01T00:00:06Z", "second"))
    client.seed(PODS, pod("c", None))
    client.seed(PODS, pod("d", "2026-01-01T00:00:09Z", "another's", job="other"))
    words = LastWordsOfJobs(client)
    assert [await words.of("chat", "fetch", key="k") for _ in range(2)] == ["second"] * 2
    assert client.count("list", "Pod") == 1


async def test_silence_is_asked_for_again() -> None:
    client = FakeClient()
    words = LastWordsOfJobs(client)
    assert await words.of("chat", "fetch", key="k") == ""
    client.seed(PODS, pod("a", "2026-01-01T00:00:06Z", "now"))
    assert await words.of("chat", "fetch", key="k") == "now"
