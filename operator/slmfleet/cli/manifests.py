"""Manifests as files and standard input bring them."""

import json
from dataclasses import dataclass
from typing import Any

import yaml

from slmfleet.api.accelerator import KIND as ACCELERATOR
from slmfleet.api.base import GROUP
from slmfleet.api.loraadapter import KIND as ADAPTER
from slmfleet.api.slmdeployment import KIND as DEPLOYMENT
from slmfleet.core.types import Manifest


class InputError(Exception):
    """The input cannot be used; the text says which object and why."""


@dataclass(frozen=True)
class Input:
    """The objects of a YAML stream that the commands work on."""

    deployments: tuple[Manifest, ...]
    accelerators: dict[str, Manifest]
    adapters: tuple[Manifest, ...] = ()

    def accelerator_of(self, slm: Manifest) -> Manifest | None:
        """The AcceleratorClass object that an SLMDeployment names, if the stream has it."""
        spec = slm.get("spec") or {}
        wanted = (spec.get("accelerator") or {}).get("class") if isinstance(spec, dict) else None
        return self.accelerators.get(str(wanted))

    def adapters_of(self, slm: Manifest) -> tuple[Manifest, ...]:
        """The LoRAAdapter objects of the stream that name an SLMDeployment."""
        wanted = slm["metadata"]["namespace"], slm["metadata"]["name"]
        return tuple(a for a in self.adapters if (a["metadata"]["namespace"], _deployment(a)) == wanted)


def read(text: str, namespace: str) -> Input:
    """The objects of our kinds in a stream; others are ignored. Raises InputError.

    `namespace` is for the objects that name none.
    """
    objects = [o for o in _documents(text) if str(o.get("apiVersion", "")).startswith(f"{GROUP}/")]
    deployments = [o for o in objects if o["kind"] == DEPLOYMENT]
    if not deployments:
        raise InputError(f"no {DEPLOYMENT} in it")
    accelerators = {o["metadata"]["name"]: o for o in objects if o["kind"] == ACCELERATOR}
    adapters = [o for o in objects if o["kind"] == ADAPTER]
    return Input(_placed(deployments, namespace), accelerators, _placed(adapters, namespace))


def _placed(objects: list[Manifest], namespace: str) -> tuple[Manifest, ...]:
    return tuple({**o, "metadata": {"namespace": namespace, **o["metadata"]}} for o in objects)


def _deployment(adapter: Manifest) -> str | None:
    spec = adapter.get("spec") or {}
    reference = spec.get("deploymentRef") if isinstance(spec, dict) else None
    return reference.get("name") if isinstance(reference, dict) else None


def _documents(text: str) -> list[dict[str, Any]]:
    try:
        # As the API server gets it: kubectl sends JSON, which has no dates.
        documents = [d for d in json.loads(json.dumps(list(yaml.safe_load_all(text)), default=str)) if d is not None]
    except yaml.YAMLError as error:
        raise InputError(f"not valid YAML: {error}") from None
    for number, document in enumerate(documents, start=1):
        metadata = document.get("metadata") if isinstance(document, dict) else None
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or "kind" not in document:
            raise InputError(f"document {number} is not a Kubernetes object: it needs kind and metadata.name")
    return documents
