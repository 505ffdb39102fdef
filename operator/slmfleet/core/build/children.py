"""All children of one SLMDeployment, in the order in which they are applied."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

from slmfleet.core.accept import Accepted
from slmfleet.core.adapters.room import with_room
from slmfleet.core.names import Names
from slmfleet.core.revisions import Inputs, Rendered, Revision, choose
from slmfleet.core.types import Config, Manifest
from slmfleet.engine.resolve import resolve

from .cache_claim import cache_claim
from .deployment import deployment
from .disruption_budget import disruption_budget
from .guard import guard_config_map, guard_files, guard_names
from .network_policy import network_policy
from .pod import pod_template
from .service import service
from .service_account import service_account


def revision_of(
    names: Names, accepted: Accepted, stored: Iterable[Manifest], adapters: Sequence[Manifest], config: Config
) -> Revision | None:
    """The revision to run; None where it takes a template that may not be rendered."""

    def render(before: Manifest | None) -> Rendered:
        spec = with_room(accepted.spec, adapters, before)
        if spec is accepted.spec:
            return _rendered(names, accepted, config)
        resolution = resolve(replace(accepted.request, spec=spec))
        return _rendered(names, replace(accepted, spec=spec, resolution=resolution), config)

    return choose(
        names,
        Inputs(accepted.spec, accepted.accelerator, builtin=accepted.accelerator_object is None),
        stored,
        None if accepted.objections else render,
        renderer=config.renderer,
        roll_on_upgrade=accepted.spec.rollout.on_operator_upgrade == "Roll",
    )


def children(names: Names, accepted: Accepted, revision: Revision, config: Config, replicas: int) -> list[Manifest]:
    """Every object that should exist; what a pod refers to, or is shielded by, comes first."""
    spec, accelerator = accepted.spec, accepted.accelerator
    wanted = [
        service_account(names, spec),
        cache_claim(names, spec),
        revision.config_map and guard_config_map(names, **revision.config_map),
        network_policy(names, spec.access, config.peers),
        revision.manifest,
        deployment(names, spec, accelerator, revision.template, revision.name, replicas),
        service(names),
        disruption_budget(names),
    ]
    return [manifest for manifest in wanted if manifest is not None]


def _rendered(names: Names, accepted: Accepted, config: Config) -> Rendered:
    spec, accelerator = accepted.spec, accepted.accelerator
    image = spec.engine.image or config.images[accelerator.platform].replace("{version}", spec.engine.version)
    files = guard_files(spec, config.guard)
    guard = None if files is None else guard_names(names, files, config.key)
    template = pod_template(names, spec, accelerator, image, accepted.resolution, guard)
    config_map = None if guard is None else {"name": guard.config_map, "files": files}
    return Rendered(template, [asdict(adjustment) for adjustment in accepted.resolution.adjustments], config_map)
