"""A cluster with one SLMDeployment, and a reconciler whose decisions the test makes."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from slmfleet.core.autoscale.advice import Advice
from slmfleet.core.types import Config, Manifest, Observed, Plan
from slmfleet.kube.apply import Applier
from slmfleet.kube.cache import Cache, Selection
from slmfleet.kube.events import Recorder
from slmfleet.kube.job_progress import ProgressOfJobs
from slmfleet.kube.last_words import LastWordsOfJobs
from slmfleet.kube.logs import Logs
from slmfleet.kube.queue import Result
from slmfleet.kube.resources import CHILDREN, Key
from slmfleet.kube.status import StatusWriter
from slmfleet.metrics.adapters import AdapterMetrics
from slmfleet.metrics.registry import Metrics
from slmfleet.runtime.adapters import Adapters
from slmfleet.runtime.guards import Guards
from slmfleet.runtime.inquiries import Inquiries
from slmfleet.runtime.objects import SLM_DEPLOYMENTS, Objects, key_of
from slmfleet.runtime.reconciler import Access, Reconciler
from tests.kube.fake import FakeClient

KEY = ("chat", "support")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
LABELS = {"app.kubernetes.io/managed-by": "slmfleet", "slmfleet.dev/deployment": "support"}

Planner = Callable[[Observed], Plan]


def slm(**spec: object) -> Manifest:
    return {"metadata": {"name": "support", "namespace": "chat"}, "spec": {"accelerator": {"class": "l4"}, **spec}}


def child(kind: str, name: str = "support", **spec: object) -> Manifest:
    version = {"Service": "v1", "ServiceAccount": "v1"}.get(kind, "apps/v1")
    metadata = {"name": name, "namespace": "chat", "labels": dict(LABELS)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


SERVICE, DEPLOYMENT = child("Service", port=80), child("Deployment", replicas=1)
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "chat"}, "data": {}}


@dataclass
class World:
    """A cluster with one SLMDeployment, and a reconciler whose decisions the test makes."""

    decide: Planner
    client: FakeClient = field(default_factory=FakeClient)
    seen: list[Observed] = field(default_factory=list)
    metrics: Metrics = field(default_factory=lambda: Metrics("test"))
    woken: list[Key] = field(default_factory=list)
    """Whose children changed."""
    news: list[Key] = field(default_factory=list)
    """Which SLMDeployments changed."""
    advice: dict[Key, Advice] = field(default_factory=dict)
    sent: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, URL and token of calls to guards."""

    def __post_init__(self) -> None:
        selection = Selection("app.kubernetes.io/managed-by=slmfleet", "slmfleet.dev/deployment")
        self.cache = Cache(self.client, CHILDREN, selection, on_change=self.woken.append, rng=Random(1), sweep=600)
        self.objects = Objects(
            self.client,
            (),
            on_change=lambda change: self.news.append(key_of(change)),
            on_adapter=lambda key, _: self.woken.append(key),
            rng=Random(1),
        )
        self.adapters = Adapters(self.woken.append, self._ask, AdapterMetrics(self.metrics.registry))
        access = Access(
            client=self.client,
            cache=self.cache,
            applier=Applier(self.client, lambda: 30.0),
            status=StatusWriter(self.client, lambda: 30.0),
            recorder=Recorder(self.client, lambda: 30.0, "slmfleet-0", lambda: NOW),
            inquiries=Inquiries(
                self.client, Logs(self.client), LastWordsOfJobs(self.client), ProgressOfJobs(self.client)
            ),
            guards=Guards(self.woken.append, self._send),
            adapters=self.adapters,
            advice=self.advice.get,
        )
        config = Config("test", {})
        self.reconciler = Reconciler(self._plan, config, access, self.objects, self.metrics, lambda: NOW)

    async def _send(self, method: str, url: str, headers: Mapping[str, str]) -> int:
        self.sent.append((method, url, headers["x-slmfleet-token"]))
        return 200

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> tuple[int, bytes]:
        self.sent.append((method, url, headers["x-slmfleet-token"]))
        return 200, b'{"adapters": {}, "aliases": {}, "table": "t"}'

    def _plan(self, observed: Observed, config: Config, now: datetime) -> Plan:
        assert now == NOW
        self.seen.append(observed)
        return self.decide(observed)

    async def reconcile(self) -> Result:
        """One reconcile with caches that are up to date."""
        watching = asyncio.create_task(self.cache.run())
        await self.cache.synced()
        await self.objects.sweep()
        await asyncio.sleep(0.1)
        self.client.calls.clear()
        result = await self.reconciler(KEY)
        watching.cancel()
        await asyncio.wait([watching])
        return result

    def written(self) -> list[tuple[str, str, str]]:
        """The writes in order."""
        return [call for call in self.client.calls if call[0] not in ("get", "list", "watch", "log")]

    def outcome(self, result: str) -> float | None:
        return self.metrics.registry.get_sample_value("slmfleet_reconcile_total", {"result": result})


def world(*applies: Manifest, **plan: object) -> World:
    made = World(lambda _: Plan(apply=applies, status={"ready": "0/1"}, **plan))  # type: ignore[arg-type]
    made.client.seed(SLM_DEPLOYMENTS, slm())
    return made
