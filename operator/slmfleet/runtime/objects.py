"""The SLMDeployments, LoRAAdapters and AcceleratorClasses of the cluster, as they are right now."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from math import inf
from random import Random
from typing import Final

from slmfleet.api import accelerator, loraadapter, slmdeployment
from slmfleet.api.base import API_VERSION
from slmfleet.kube.backoff import backoff
from slmfleet.kube.client import Client
from slmfleet.kube.errors import KubeError, NotFoundError, RefusedError
from slmfleet.kube.resources import Key, Manifest, Resource, name_of
from slmfleet.kube.store import Change, Store

SLM_DEPLOYMENTS: Final = Resource(API_VERSION, slmdeployment.KIND, slmdeployment.PLURAL)
LORA_ADAPTERS: Final = Resource(API_VERSION, loraadapter.KIND, loraadapter.PLURAL)
ACCELERATOR_CLASSES: Final = Resource(API_VERSION, accelerator.KIND, accelerator.PLURAL)

logger = logging.getLogger(__name__)


class Objects:
    """What users wrote. Fed by watch events, by our own status writes and by a list every `sweep` seconds.

    The lists find what a watch has lost: kopf reports no deletions that happened while its watch was expired.
    """

    def __init__(
        self,
        client: Client,
        namespaces: tuple[str, ...],
        *,
        on_change: Callable[[Change], None],
        on_adapter: Callable[[Key, Change], None],
        rng: Random,
    ) -> None:
        """`on_change` hears of every changed SLMDeployment, and of unchanged ones whose AcceleratorClass changed.

        `on_adapter` hears of every changed LoRAAdapter, and the key of the SLMDeployment, there or not, that it is for.
        """
        self.slms = Store()
        self.unreadable: set[str] = set()
        """Namespaces that the last sweep was refused."""
        self.adapters = Store()
        self._by_deployment: dict[Key, dict[str, Manifest]] = {}
        self._classes = Store()
        self._client = client
        self._namespaces = namespaces
        self._on_change = on_change
        self._on_adapter = on_adapter
        self._rng = rng

    def accelerator_of(self, slm: Manifest) -> Manifest | None:
        """The AcceleratorClass object that the spec names."""
        return self._classes.get(("", _class_name(slm)))

    def adapters_of(self, key: Key) -> tuple[Manifest, ...]:
        """The LoRAAdapters that name an SLMDeployment, and are not on their way out."""
        named = self._by_deployment.get(key, {}).values()
        return tuple(adapter for adapter in named if not adapter["metadata"].get("deletionTimestamp"))

    def adapter_event(self, kind: str | None, obj: Manifest) -> None:
        """Take in a watch event of a LoRAAdapter."""
        self._adapters_changed([self.adapters.remove(obj) if kind == "DELETED" else self.adapters.put(obj)])

    def adapter_answered(self, before: Manifest, answer: Manifest) -> None:
        """Take in what the API server said about the LoRAAdapter seen as `before`, ahead of the watch."""
        same = _without_status(before) == _without_status(answer)
        self._adapters_changed([self.adapters.put(answer)], quiet=same)

    def slm_event(self, kind: str | None, obj: Manifest) -> None:
        """Take in a watch event of an SLMDeployment."""
        self._tell([self.slms.remove(obj) if kind == "DELETED" else self.slms.put(obj)])

    def accelerator_event(self, kind: str | None, obj: Manifest) -> None:
        """Take in a watch event of an AcceleratorClass: it concerns everything that names it."""
        self._tell_users([self._classes.remove(obj) if kind == "DELETED" else self._classes.put(obj)])

    def answered(self, before: Manifest, answer: Manifest) -> None:
        """Take in what the API server said about the SLMDeployment seen as `before`, ahead of the watch.

        The watch will not repeat it: whoever else changed the object in between is heard of here or never.
        """
        change = self.slms.put(answer)
        if change is not None and _without_status(before) != _without_status(answer):
            self._on_change(change)

    def gone(self, slm: Manifest) -> None:
        """Take in that this very SLMDeployment proved to be gone: its deletion was missed, or is yet to be told."""
        self._tell([self.slms.remove(slm, inf)])

    async def load(self) -> None:
        """List everything once, however long the API server takes."""
        tries = 0
        while True:
            try:
                return await self.sweep()
            except NotFoundError:
                logger.warning("the kinds of %s are not installed: apply the CRDs of this release", API_VERSION)
            except KubeError as error:
                logger.warning("SLMDeployments cannot be listed: %s", error)
            await asyncio.sleep(backoff(tries, self._rng, base=1.0, limit=30.0))
            tries += 1

    async def sweep(self) -> None:
        """Compare with what the API server has now. Raises KubeError."""
        classes, version = await self._client.list(ACCELERATOR_CLASSES, None)
        self._tell_users(self._classes.replace(classes, int(version)))
        # One list for all namespaces or one for each; what is in none of them is not ours to know.
        for namespace in self._namespaces or (None,):
            try:
                # Before their deployments: engines are told to have what is known.
                adapters, known = await self._client.list(LORA_ADAPTERS, namespace)
                slms, version = await self._client.list(SLM_DEPLOYMENTS, namespace)
            except (NotFoundError, RefusedError) as error:
                if namespace is None:
                    raise
                self._lost(namespace, error)
                continue
            self.unreadable.discard(namespace or "")
            self._adapters_changed(self.adapters.replace(adapters, int(known), namespace))
            self._tell(self.slms.replace(slms, int(version), namespace))

    def _lost(self, namespace: str, error: KubeError) -> None:
        """The namespace or our rights in it are gone; the other namespaces go on."""
        if namespace not in self.unreadable:
            logger.warning("SLMDeployments of namespace %s cannot be listed: %s", namespace, error)
        self.unreadable.add(namespace)

    def _tell(self, changes: Iterable[Change | None]) -> None:
        for change in changes:
            if change is not None:
                self._on_change(change)

    def _adapters_changed(self, changes: Iterable[Change | None], *, quiet: bool = False) -> None:
        """Keep the adapters of each deployment at hand."""
        for change in changes:
            if change is None:
                continue
            for obj in (change.before, change.after):
                if obj is None:
                    continue
                key, name = _deployment_of(obj), name_of(obj)[1]
                if obj is change.after:
                    self._by_deployment.setdefault(key, {})[name] = obj
                else:
                    self._by_deployment.get(key, {}).pop(name, None)
                if not self._by_deployment.get(key):
                    self._by_deployment.pop(key, None)
                if not quiet:
                    self._on_adapter(key, change)

    def _tell_users(self, changes: Iterable[Change | None]) -> None:
        """The SLMDeployments that name a changed class."""
        names = {name_of(o)[1] for c in changes if c is not None for o in (c.before, c.after) if o is not None}
        if names:
            self._tell(Change(slm, slm) for slm in self.slms if _class_name(slm) in names)


def _class_name(slm: Manifest) -> str:
    """An object from the API server passed the CRD's schema, but maybe an older one's."""
    wanted = (slm.get("spec") or {}).get("accelerator")
    return str(wanted.get("class", "")) if isinstance(wanted, dict) else ""


def _deployment_of(adapter: Manifest) -> Key:
    wanted = (adapter.get("spec") or {}).get("deploymentRef")
    return name_of(adapter)[0], str(wanted.get("name", "")) if isinstance(wanted, dict) else ""


def _without_status(slm: Manifest) -> Manifest:
    """What a write of the status leaves as it is."""
    metadata = {k: v for k, v in slm["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return slm | {"metadata": metadata, "status": None}


def key_of(change: Change) -> Key:
    """Namespace and name of the changed object."""
    obj = change.after or change.before
    assert obj is not None
    return name_of(obj)
