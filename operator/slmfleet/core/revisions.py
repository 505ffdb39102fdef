"""Revisions: a pod template is rendered once per change of the user's, and kept.

    inputs   = what the user decided: the spec's fields that reach the pods, and the AcceleratorClass object if any
    revision = the stored one with the same inputs, else a new one rendered now

A newer operator finds the inputs unchanged and goes on with the stored template, whatever it would render today: its
defaults, catalogue and image names enter only with the user's next change, or with `onOperatorUpgrade: Roll`. Fields
that equal their default are left out of the inputs, so that a new field with a default changes nothing either.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.slmdeployment import SLMDeploymentSpec

from .build.revision import controller_revision
from .names import Names
from .types import Manifest, Ref

HISTORY: Final = 5
"""Unused revisions that are kept, so that a rollback finds the template that ran before."""

_NOT_IN_PODS: Final[Any] = {
    "replicas": True,
    "rollout": True,
    "paused": True,
    # A claim can grow under running pods.
    "model": {"cache": {"size", "storage_class_name", "access_mode", "when_deleted"}},
}
_ACCELERATOR_IN_PODS: Final = {"platform", "resource_name", "node_terms", "tolerations", "runtime_class_name"}


@dataclass(frozen=True)
class Revision:
    """A stored template; `outdated` when this operator would render another from the same inputs."""

    name: str
    number: int
    renderer: str
    template: Manifest
    manifest: Manifest
    outdated: bool = False


def template_inputs(spec: SLMDeploymentSpec, accelerator: AcceleratorClassSpec | None) -> Manifest:
    """What the user decided about the pods; `accelerator` is an object's spec, None for the built-in catalogue."""
    inputs: dict[str, Any] = {
        "spec": spec.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, exclude=_NOT_IN_PODS)
    }
    if spec.model.cache is not None:
        inputs["spec"]["model"].setdefault("cache", {})
    if accelerator is not None:
        inputs["accelerator"] = accelerator.model_dump(
            by_alias=True, exclude_none=True, exclude_defaults=True, include=_ACCELERATOR_IN_PODS
        )
    return inputs


def choose(
    names: Names,
    inputs: Manifest,
    stored: Iterable[Manifest],
    render: Callable[[], Manifest],
    *,
    renderer: str,
    roll_on_upgrade: bool,
) -> Revision:
    """The revision to run: a stored one with these inputs, or a new one."""
    known = sorted(stored, key=lambda r: int(r["revision"]), reverse=True)
    fresh = render()
    same_inputs = [r for r in known if r["data"]["inputs"] == inputs]
    same_template = [r for r in same_inputs if r["data"]["template"] == fresh]
    if candidates := same_template if roll_on_upgrade else same_inputs:
        chosen = candidates[0]
        data = chosen["data"]
        return Revision(
            name=chosen["metadata"]["name"],
            number=int(chosen["revision"]),
            renderer=data["renderer"],
            template=data["template"],
            manifest=controller_revision(names, chosen["metadata"]["name"], int(chosen["revision"]), data),
            outdated=data["template"] != fresh,
        )
    number = int(known[0]["revision"]) + 1 if known else 1
    name = f"{names.name}-{digest([inputs, fresh])}"
    data = {"inputs": inputs, "renderer": renderer, "template": fresh}
    return Revision(name, number, renderer, fresh, controller_revision(names, name, number, data))


def expired(stored: Iterable[Manifest], current: str) -> list[Ref]:
    """Revisions beyond the history, oldest first; never the current one."""
    unused = sorted((r for r in stored if r["metadata"]["name"] != current), key=lambda r: int(r["revision"]))
    return [_with_uid(r) for r in unused[: max(0, len(unused) - HISTORY)]]


def digest(value: object) -> str:
    """Ten hexadecimal digits that stand for a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _with_uid(manifest: Manifest) -> Ref:
    return Ref(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"], manifest["metadata"]["uid"])
