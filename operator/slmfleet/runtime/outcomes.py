"""Saying on each LoRAAdapter what became of it."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from slmfleet.api.conditions import Reason
from slmfleet.core.adapters.fleet import unserved
from slmfleet.core.problems import Verdict
from slmfleet.core.types import AdapterOutcome, Manifest
from slmfleet.kube.errors import ConflictError, NotFoundError
from slmfleet.kube.events import Recorder
from slmfleet.kube.resources import Key
from slmfleet.kube.status import StatusWriter

from .objects import LORA_ADAPTERS, Objects

_AT_ONCE: Final = 8


def without_deployment(key: Key, adapters: Iterable[Manifest], now: datetime) -> tuple[AdapterOutcome, ...]:
    """Adapters whose deployment does not exist, or goes."""
    text = f'spec.deploymentRef.name: there is no SLMDeployment "{key[1]}" in this namespace: create it, or delete this'
    return unserved(adapters, Verdict(Reason.DEPLOYMENT_MISSING, text), now, keep=False)


async def tell_adapters(
    status: StatusWriter, recorder: Recorder, objects: Objects, outcomes: Iterable[AdapterOutcome]
) -> None:
    """Write the statuses that changed, then post their events. Raises KubeError, but for adapters that are gone."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def tell(outcome: AdapterOutcome) -> None:
        async with free:
            try:
                written = await status.write(LORA_ADAPTERS, outcome.manifest, outcome.status)
            except (ConflictError, NotFoundError):
                return  # deleted meanwhile, which the watch tells
            if written is not None:
                objects.adapter_answered(outcome.manifest, written)
            for event in outcome.events:
                await recorder.post(
                    outcome.manifest, kind=event.type, reason=event.reason, action=event.action, note=event.note
                )

    results = await asyncio.gather(*map(tell, outcomes), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
