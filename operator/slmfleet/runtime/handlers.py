"""kopf: the watches on our own kinds, and nothing else of it.

No change handlers (they annotate every object), no finalizers, no peering, no events: handlers hand objects over.

kopf gives up as a whole when one namespace of several answers 403 or 404, be it deleted or its Role. The process then
ends and is restarted, and kopf is given only the namespaces that could be listed; once a sweep finds another one
readable again, the process ends once more to watch it.
"""

import os

import kopf

from slmfleet.kube.resources import Resource

from .objects import ACCELERATOR_CLASSES, LORA_ADAPTERS, SLM_DEPLOYMENTS, Objects


def registry_of(objects: Objects) -> kopf.OperatorRegistry:
    """The event handlers that keep `objects` up to date."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(logger: kopf.Logger, settings: kopf.OperatorSettings, **_: object) -> kopf.ConnectionInfo | None:
        if "KUBECONFIG" in os.environ:
            return kopf.login_via_client(logger=logger, settings=settings)
        return kopf.login_with_service_account(settings=settings)

    @kopf.on.event(*_selector(SLM_DEPLOYMENTS), registry=registry)
    async def slm_deployment(event: kopf.RawEvent, **_: object) -> None:
        objects.slm_event(event["type"], dict(event["object"]))

    @kopf.on.event(*_selector(LORA_ADAPTERS), registry=registry)
    async def lora_adapter(event: kopf.RawEvent, **_: object) -> None:
        objects.adapter_event(event["type"], dict(event["object"]))

    @kopf.on.event(*_selector(ACCELERATOR_CLASSES), registry=registry)
    async def accelerator_class(event: kopf.RawEvent, **_: object) -> None:
        objects.accelerator_event(event["type"], dict(event["object"]))

    return registry


def settings() -> kopf.OperatorSettings:
    """kopf's settings: watch and be silent."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True  # the kinds are known, and watching CRDs and namespaces would need more rights
    chosen.peering.standalone = True
    chosen.watching.chunk_size = 500
    chosen.watching.server_timeout = 290
    chosen.watching.connect_timeout = 10
    chosen.networking.request_timeout = 60
    chosen.process.ultimate_exiting_timeout = None
    return chosen


def _selector(resource: Resource) -> tuple[str, str, str]:
    group, version = resource.api_version.split("/")
    return group, version, resource.plural
