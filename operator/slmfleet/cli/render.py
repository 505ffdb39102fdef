"""`slmfleet render`: the operator's plan for manifests, without a cluster."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import yaml

from slmfleet import __version__
from slmfleet.api.accelerator import KIND as ACCELERATOR
from slmfleet.api.base import GROUP
from slmfleet.api.slmdeployment import KIND as DEPLOYMENT
from slmfleet.core.plan import plan
from slmfleet.core.types import Config, Manifest, Observed
from slmfleet.engine import guard
from slmfleet.engine.images import DEFAULT_IMAGES

_NO_KEY: Final = b"not the operator's"
"""Tokens are derived from the operator's key, which is in its cluster alone: here only their Secrets' form is shown."""


class RenderError(Exception):
    """The input cannot be rendered; the text says which object and why."""


def parse_images(pairs: Iterable[str]) -> dict[str, str]:
    """PLATFORM=IMAGE pairs over the defaults. Raises RenderError for an unknown platform or another form."""
    images = dict(DEFAULT_IMAGES)
    for pair in pairs:
        platform, equals, image = pair.partition("=")
        if not equals or platform not in images:
            raise RenderError(f"--engine-image {pair!r}: write PLATFORM=IMAGE with a platform of {', '.join(images)}")
        images[platform] = image
    return images


def render_manifests(text: str, namespace: str, images: dict[str, str]) -> list[Manifest]:
    """The children of every SLMDeployment in a YAML stream. Raises RenderError."""
    objects = _read(text)
    accelerators = {o["metadata"]["name"]: o for o in objects if o["kind"] == ACCELERATOR}
    deployments = [o for o in objects if o["kind"] == DEPLOYMENT]
    if not deployments:
        raise RenderError(f"no {DEPLOYMENT} in it")
    config = Config(renderer=__version__, images=images, guard=guard.sources(), key=_NO_KEY)
    return [child for slm in deployments for child in _children(slm, namespace, accelerators, config)]


def _children(slm: Manifest, namespace: str, accelerators: dict[str, Manifest], config: Config) -> Iterable[Manifest]:
    slm = {**slm, "metadata": {"namespace": namespace, **slm["metadata"]}}
    spec = slm.get("spec") or {}
    wanted = (spec.get("accelerator") or {}).get("class") if isinstance(spec, dict) else None
    # The time only enters the status, which is not shown.
    planned = plan(Observed(slm, accelerator=accelerators.get(str(wanted))), config, datetime.now(UTC))
    accepted = next(c for c in planned.status["conditions"] if c["type"] == "Accepted")
    if accepted["status"] != "True":
        name = slm["metadata"]["name"]
        raise RenderError(f"{DEPLOYMENT} {name}: {accepted['reason']}: {accepted['message']}")
    if not planned.apply:
        raise RenderError(f"{DEPLOYMENT} {slm['metadata']['name']} is paused: the operator would create nothing")
    return [_without_data(child) if child["kind"] == "Secret" else child for child in planned.apply]


def _without_data(secret: Manifest) -> Manifest:
    return {key: value for key, value in secret.items() if key != "data"}


def _read(text: str) -> list[dict[str, Any]]:
    try:
        # As the API server gets it: kubectl sends JSON, which has no dates.
        documents = [d for d in json.loads(json.dumps(list(yaml.safe_load_all(text)), default=str)) if d is not None]
    except yaml.YAMLError as error:
        raise RenderError(f"not valid YAML: {error}") from None
    for number, document in enumerate(documents, start=1):
        metadata = document.get("metadata") if isinstance(document, dict) else None
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or "kind" not in document:
            raise RenderError(f"document {number} is not a Kubernetes object: it needs kind and metadata.name")
    return [d for d in documents if str(d.get("apiVersion", "")).startswith(f"{GROUP}/")]
