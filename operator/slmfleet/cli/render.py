"""`slmfleet render`: the operator's plan for manifests, without a cluster."""

from collections.abc import Iterable
from datetime import UTC, datetime

from slmfleet import __version__
from slmfleet.api.slmdeployment import KIND as DEPLOYMENT
from slmfleet.core.plan import plan
from slmfleet.core.types import Config, Manifest, Observed
from slmfleet.engine.images import DEFAULT_IMAGES

from .manifests import InputError, read


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
    """The children of every SLMDeployment in a YAML stream. Raises InputError."""
    found = read(text, namespace)
    config = Config(renderer=__version__, images=images)
    return [child for slm in found.deployments for child in _children(slm, found.accelerator_of(slm), config)]


def _children(slm: Manifest, accelerator: Manifest | None, config: Config) -> Iterable[Manifest]:
    # The time only enters the status, which is not shown.
    planned = plan(Observed(slm, accelerator=accelerator), config, datetime.now(UTC))
    accepted = next(c for c in planned.status["conditions"] if c["type"] == "Accepted")
    if accepted["status"] != "True":
        name = slm["metadata"]["name"]
        raise InputError(f"{DEPLOYMENT} {name}: {accepted['reason']}: {accepted['message']}")
    if not planned.apply:
        raise InputError(f"{DEPLOYMENT} {slm['metadata']['name']} is paused: the operator would create nothing")
    return planned.apply
