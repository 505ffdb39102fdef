"""The operator of this benchmark: the whole of slmfleet.runtime.operator in a process of its own, but for kopf."""

import asyncio
import cProfile
import pstats
import sys
from multiprocessing.connection import Connection

from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from slmfleet.core.plan import plan
from slmfleet.kube.client import Client
from slmfleet.metrics.registry import Metrics
from slmfleet.runtime import log
from slmfleet.runtime.objects import LORA_ADAPTERS, SLM_DEPLOYMENTS
from slmfleet.runtime.operator import Operator
from slmfleet.runtime.settings import Settings

from .objects import NAMESPACE

_NUMBERS = {
    "reconciles": ("slmfleet_reconcile_total", {"result": "ok"}),
    "reconcile_s": ("slmfleet_reconcile_seconds_sum", {}),
    "guard_puts": ("slmfleet_adapter_guard_calls_total", {"method": "PUT", "status": "202"}),
    "guard_gets": ("slmfleet_adapter_guard_calls_total", {"method": "GET", "status": "200"}),
    "status_writes": ("slmfleet_writes_total", {"kind": "LoRAAdapter", "verb": "apply-status", "result": "ok"}),
}


class WithoutKopf(Operator):
    """Our kinds come by our own watches: kopf wants an API server that can be discovered."""

    async def _watch_our_kinds(self) -> None:
        self.kopf_started.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed_slms())
            group.create_task(self._feed_adapters())

    async def _feed_slms(self) -> None:
        async for kind, obj in self._client.watch(SLM_DEPLOYMENTS, NAMESPACE, labels="", since="0", seconds=3600):
            self._objects.slm_event(kind, obj)

    async def _feed_adapters(self) -> None:
        async for kind, obj in self._client.watch(LORA_ADAPTERS, NAMESPACE, labels="", since="0", seconds=3600):
            self._objects.adapter_event(kind, obj)


def operate(url: str, told: Connection, *, profiled: bool) -> None:
    """The process: works until its end of `told` hears "stop", and answers anything else with its numbers."""
    log.setup("warning", "text")
    profile = cProfile.Profile() if profiled else None
    if profile is not None:
        profile.enable()
    asyncio.run(_operate(url, told))
    if profile is not None:
        profile.disable()
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)


async def _operate(url: str, told: Connection) -> None:
    metrics = Metrics("bench")
    configuration = Configuration(host=url)
    configuration.retries = None
    client = Client(ApiClient(configuration), metrics.wrote)
    settings = Settings(namespaces=(NAMESPACE,), leader_election=False, pod_namespace=NAMESPACE, pod_name="operator")
    operator = WithoutKopf(settings, client, metrics, plan)
    work = asyncio.create_task(operator.work())
    stopped = asyncio.Event()

    def asked() -> None:
        if told.recv() == "stop":
            stopped.set()
        else:
            value = metrics.registry.get_sample_value
            told.send({name: value(metric, labels) or 0.0 for name, (metric, labels) in _NUMBERS.items()})

    asyncio.get_running_loop().add_reader(told.fileno(), asked)
    ended = asyncio.create_task(stopped.wait())
    await asyncio.wait([work, ended], return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        await work  # it never ends by itself: this raises why it did
    await operator.stop(work)
    await client.close()
