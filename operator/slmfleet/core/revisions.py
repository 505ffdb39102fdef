"""Revisions: a pod template is rendered once per change of the user's, and kept.

    inputs   = what the user decided: the spec's fields that reach the pods, with today's defaults written out, and the
               accelerator's, marked when they come from the built-in catalogue
    revision = the stored one with the same inputs, else a new one rendered now

A newer operator finds the inputs unchanged and goes on with the stored template, whatever it would render today: its
defaults, catalogue and image names enter only with the user's next change, or with `onOperatorUpgrade: Roll`. Stored
inputs may lack fields that are newer than they are: those are unchanged while they are at their default.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.base import ApiModel
from slmfleet.api.model import ModelCache
from slmfleet.api.slmdeployment import SLMDeploymentSpec

from .build.revision import controller_revision
from .digests import digest
from .names import Names
from .types import Manifest, Ref

HISTORY: Final = 5
"""Unused revisions that are kept, so that a rollback finds the template that ran before."""

_NOT_IN_PODS: Final = frozenset({"replicas", "scaling", "rollout", "paused", "access"})
_NOT_OF_A_CACHE: Final = frozenset({"size", "storage_class_name", "access_mode", "when_deleted"})
"""A claim can grow under running pods; what it is made of cannot change."""
_ACCELERATOR_IN_PODS: Final = frozenset(
    {"platform", "resource_name", "node_terms", "tolerations", "runtime_class_name"}
)


@dataclass(frozen=True)
class Rendered:
    """What this operator makes of a spec."""

    template: Manifest
    adjusted: list[Manifest]
    """Wishes of the spec that the engine could not be given as written: field, flag, why."""
    config_map: Manifest | None = None
    """The name and the data of the ConfigMap that the template mounts."""


@dataclass(frozen=True)
class Revision:
    """A stored template; `outdated` when this operator would render another from the same inputs."""

    name: str
    number: int
    renderer: str
    template: Manifest
    manifest: Manifest
    adjusted: list[Manifest] = field(default_factory=list)
    """What was adjusted when the template was rendered."""
    config_map: Manifest | None = None
    """Kept with the template: a later release brings other files, and could not make this one again."""
    outdated: bool = False


@dataclass(frozen=True)
class Inputs:
    """What the user decided about the pods."""

    spec: SLMDeploymentSpec
    accelerator: AcceleratorClassSpec
    builtin: bool
    """The accelerator is the catalogue's, which no user wrote: it may differ between releases."""

    def stored(self) -> Manifest:
        """As it is kept in a revision."""
        spec = self.spec.model_dump(by_alias=True, exclude_none=True, exclude=set(_NOT_IN_PODS))
        if self.spec.model.cache is not None:
            kept = self.spec.model.cache.model_dump(by_alias=True, exclude_none=True, exclude=set(_NOT_OF_A_CACHE))
            spec["model"]["cache"] = kept
        include = set(_ACCELERATOR_IN_PODS)
        accelerator = self.accelerator.model_dump(by_alias=True, exclude_none=True, include=include)
        return {"spec": spec, "accelerator": accelerator, "builtinAccelerator": self.builtin}

    def same_as(self, stored: Manifest) -> bool:
        """Whether the user has changed nothing since these inputs were stored, perhaps by an older release."""
        in_pods = frozenset(type(self.accelerator).model_fields) - _ACCELERATOR_IN_PODS
        return _unchanged(self.spec, stored["spec"], _NOT_IN_PODS) and (
            (self.builtin and stored["builtinAccelerator"])
            or _unchanged(self.accelerator, stored["accelerator"], in_pods)
        )


def _unchanged(model: ApiModel, stored: Manifest, leave_out: frozenset[str] = frozenset()) -> bool:
    for name, info in type(model).model_fields.items():
        if name in leave_out:
            continue
        value, key = getattr(model, name), info.alias or name
        if key not in stored and value != info.get_default(call_default_factory=True):
            return False
        if key in stored and not _same(value, stored[key]):
            return False
    return True


def _same(value: object, stored: Any) -> bool:  # noqa: ANN401 - JSON
    if isinstance(value, ApiModel):
        leave_out = _NOT_OF_A_CACHE if isinstance(value, ModelCache) else frozenset()
        return isinstance(stored, dict) and _unchanged(value, stored, leave_out)
    if isinstance(value, list):
        return isinstance(stored, list) and len(value) == len(stored) and all(map(_same, value, stored))
    return bool(value == stored)


def choose(
    names: Names,
    inputs: Inputs,
    stored: Iterable[Manifest],
    render: Callable[[Manifest | None], Rendered] | None,
    *,
    renderer: str,
    roll_on_upgrade: bool,
) -> Revision | None:
    """The revision to run: a stored one with these inputs, or a new one.

    `render` is given the newest template with these inputs, to keep what does not come from them. Without it nothing
    new can be made of the inputs: None where nothing stored has them.
    """
    known = sorted(stored, key=lambda r: int(r["revision"]), reverse=True)
    same_inputs = [r for r in known if inputs.same_as(r["data"]["inputs"])]
    if render is None:
        return _stored(names, same_inputs[0]) if same_inputs else None
    fresh = render(same_inputs[0]["data"]["template"] if same_inputs else None)
    same_template = [r for r in same_inputs if r["data"]["template"] == fresh.template]
    if candidates := same_template if roll_on_upgrade else same_inputs:
        return replace(_stored(names, candidates[0]), outdated=candidates[0]["data"]["template"] != fresh.template)
    number = int(known[0]["revision"]) + 1 if known else 1
    name = f"{names.name}-{digest([inputs.stored(), fresh.template])}"
    data: Manifest = {"inputs": inputs.stored(), "renderer": renderer, "template": fresh.template}
    if fresh.adjusted:
        data["adjusted"] = fresh.adjusted
    if fresh.config_map is not None:
        data["configMap"] = fresh.config_map
    return _revision(names, name, number, data)


def _stored(names: Names, revision: Manifest) -> Revision:
    return _revision(names, revision["metadata"]["name"], int(revision["revision"]), revision["data"])


def _revision(names: Names, name: str, number: int, data: Manifest) -> Revision:
    manifest = controller_revision(names, name, number, data)
    adjusted, config_map = data.get("adjusted", []), data.get("configMap")
    return Revision(name, number, data["renderer"], data["template"], manifest, adjusted, config_map)


def expired(stored: Iterable[Manifest], current: str) -> list[Ref]:
    """Revisions beyond the history, oldest first; never the current one."""
    unused = sorted((r for r in stored if r["metadata"]["name"] != current), key=lambda r: int(r["revision"]))
    return [_with_uid(r) for r in unused[: max(0, len(unused) - HISTORY)]]


def _with_uid(manifest: Manifest) -> Ref:
    return Ref(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"], manifest["metadata"]["uid"])
