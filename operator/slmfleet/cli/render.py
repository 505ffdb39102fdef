"""`slmfleet render`: the operator's plan for manifests, without a cluster."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from slmfleet import __version__
from slmfleet.api.loraadapter import KIND as ADAPTER
from slmfleet.api.slmdeployment import KIND as DEPLOYMENT
from slmfleet.core.plan import plan
from slmfleet.core.types import Config, Manifest, Observed
from slmfleet.engine import guard
from slmfleet.engine.images import DEFAULT_IMAGES, default_fetcher

from .manifests import InputError, read

_NO_KEY: Final = b"not the operator's"
"""Tokens are derived from the operator's key, which is in its cluster alone: here only their Secrets' form is shown."""


def parse_images(pairs: Iterable[str]) -> dict[str, str]:
    """PLATFORM=IMAGE pairs over the defaults. Raises InputError for an unknown platform or another form."""
    images = dict(DEFAULT_IMAGES)
    for pair in pairs:
        platform, equals, image = pair.partition("=")
        if not equals or platform not in images:
            raise InputError(f"--engine-image {pair!r}: write PLATFORM=IMAGE with a platform of {', '.join(images)}")
        images[platform] = image
    return images


def render_manifests(text: str, namespace: str, images: dict[str, str]) -> list[Manifest]:
    """The children of every SLMDeployment in a YAML stream, and of its adapters. Raises InputError."""
    found = read(text, namespace)
    fetcher = default_fetcher(__version__)
    config = Config(renderer=__version__, images=images, guard=guard.sources(), key=_NO_KEY, fetcher=fetcher)
    observed = (
        Observed(slm, accelerator=found.accelerator_of(slm), adapters=found.adapters_of(slm))
        for slm in found.deployments
    )
    return [child for each in observed for child in _children(each, config)]


def _children(observed: Observed, config: Config) -> Iterable[Manifest]:
    # The time only enters the status, which is not shown.
    slm, planned = observed.slm, plan(observed, config, datetime.now(UTC))
    _accepted(DEPLOYMENT, slm, planned.status)
    for outcome in planned.outcomes:
        _accepted(ADAPTER, outcome.manifest, outcome.status)
    if not planned.apply:
        raise InputError(f"{DEPLOYMENT} {slm['metadata']['name']} is paused: the operator would create nothing")
    return [_without_data(child) if child["kind"] == "Secret" else child for child in planned.apply]


def _accepted(kind: str, obj: Manifest, status: Manifest) -> None:
    accepted = next(c for c in status["conditions"] if c["type"] == "Accepted")
    if accepted["status"] != "True":
        raise InputError(f"{kind} {obj['metadata']['name']}: {accepted['reason']}: {accepted['message']}")


def _without_data(secret: Manifest) -> Manifest:
    return {key: value for key, value in secret.items() if key != "data"}
