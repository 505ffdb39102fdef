"""Whether a spec can be carried out: what the CRD's rules say, and what they cannot know."""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.catalogue import NAMES, builtin
from slmfleet.api.conditions import Reason
from slmfleet.api.crds import SLM_DEPLOYMENT
from slmfleet.api.quantities import in_bytes, seconds, size
from slmfleet.api.rules import broken, violations
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.engine.resolution import Request, Resolution
from slmfleet.engine.resolve import resolve

from .autoscale.bounds import schedules
from .autoscale.schedules import problem
from .problems import Verdict
from .types import Manifest

MAX_ERRORS: Final = 5


@dataclass(frozen=True)
class Accepted:
    """A spec that can be read, and what it comes to."""

    spec: SLMDeploymentSpec
    accelerator: AcceleratorClassSpec
    accelerator_object: AcceleratorClassSpec | None
    """The same, where it comes from an object and not from the built-in catalogue."""
    request: Request
    resolution: Resolution
    objections: tuple[str, ...]
    """Why no template may be rendered from it. What runs from the same spec runs on: this release may know more than
    the one that rendered it."""

    @property
    def refusal(self) -> Verdict:
        """The objections as they are told."""
        more = f"; and {len(self.objections) - MAX_ERRORS} more" if len(self.objections) > MAX_ERRORS else ""
        return Verdict(Reason.INVALID_SPEC, "; ".join(self.objections[:MAX_ERRORS]) + more)


def accept(slm: Manifest, accelerator: Manifest | None) -> Accepted | Verdict:
    """Parse and check a spec; a Verdict says why it cannot be read and what helps."""
    try:
        # JSON mode is as strict about types and is how the object came to us.
        spec = SLMDeploymentSpec.model_validate_json(json.dumps(slm.get("spec", {})))
    except ValidationError as error:
        return Verdict(Reason.INVALID_SPEC, describe(error, "spec"))
    if windows := list(_windows(spec)):
        return Verdict(Reason.INVALID_SPEC, "; ".join(windows[:MAX_ERRORS]))
    wanted = spec.accelerator.class_name
    try:
        custom = None if accelerator is None else accelerator_class(accelerator)
    except ValidationError as error:
        problem = describe(error, "spec")
        return Verdict(Reason.UNKNOWN_ACCELERATOR, f"AcceleratorClass {wanted} cannot be used: {problem}")
    chosen = custom or builtin(wanted)
    if chosen is None:
        return Verdict(Reason.UNKNOWN_ACCELERATOR, _unknown(wanted))
    request = Request(slm["metadata"]["name"], spec, chosen, seconds(spec.drain.timeout))
    resolution = resolve(request)
    objections = [
        *_rules(slm, spec, resolution),
        *_gpus(spec, chosen),
        *_volumes(spec),
        *_affinity(spec),
        *_memory(spec, resolution),
        *map(str, resolution.problems),
    ]
    return Accepted(spec, chosen, custom, request, resolution, tuple(objections))


def accelerator_class(accelerator: Manifest) -> AcceleratorClassSpec:
    """What an AcceleratorClass object says. Raises ValidationError."""
    return AcceleratorClassSpec.model_validate_json(json.dumps(accelerator.get("spec", {})))


def describe(error: ValidationError, root: str) -> str:
    """A pydantic error for people: field, value, reason; at most MAX_ERRORS of them."""
    errors = error.errors(include_url=False, include_context=False)
    texts = []
    for item in errors[:MAX_ERRORS]:
        path = ".".join([root, *(str(part) for part in item["loc"])])
        value = "" if item["type"] == "missing" else f": {_short(item['input'])}"
        texts.append(f"{path}{value}: {item['msg'][0].lower()}{item['msg'][1:]}")
    if len(errors) > MAX_ERRORS:
        texts.append(f"and {len(errors) - MAX_ERRORS} more")
    return "; ".join(texts)


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:79] + "…"


def _unknown(wanted: str) -> str:
    close = difflib.get_close_matches(wanted, NAMES, n=1)
    guess = f"did you mean {close[0]}? " if close else ""
    return (
        f'spec.accelerator.class: "{wanted}" is neither an AcceleratorClass nor in the built-in catalogue: {guess}'
        f"Create the object, or use one of {', '.join(NAMES)}"
    )


def _rules(slm: Manifest, spec: SLMDeploymentSpec, resolution: Resolution) -> Iterable[str]:
    """The CRD's rules: `slmfleet render` has no API server, and an older CRD has fewer of them.

    Where the engine has something against the same field that says more.
    """
    schema = {"x-kubernetes-validations": SLM_DEPLOYMENT.rules}
    said = tuple(problem.field for problem in resolution.problems)
    found = (*broken(schema, slm, ""), *violations(spec, "spec"))
    return [str(each) for each in found if not any(f == each.path or f.startswith(f"{each.path}[") for f in said)]


def _windows(spec: SLMDeploymentSpec) -> Iterable[str]:
    """Schedules that no calendar can keep: what cron and time zones allow is more than the CRD's rules can say."""
    for index, window in enumerate(() if spec.scaling is None else schedules(spec.scaling)):
        if (wrong := problem(window)) is not None:
            yield f"spec.scaling.schedules[{index}] ({window.name}): {wrong}"


def _gpus(spec: SLMDeploymentSpec, accelerator: AcceleratorClassSpec) -> Iterable[str]:
    tensor, per_node = spec.parallelism.tensor, accelerator.gpus_per_node
    name = spec.accelerator.class_name
    if per_node is not None and tensor > per_node:
        yield (
            f"spec.parallelism.tensor: {tensor} is more than the {per_node} GPUs of a node with {name}: "
            f"use at most {per_node}, or a class with larger nodes"
        )
    resources = spec.pod.resources
    asked = {*((resources and resources.requests) or {}), *((resources and resources.limits) or {})}
    if accelerator.resource_name is not None and accelerator.resource_name in asked:
        yield (
            f"spec.pod.resources sets {accelerator.resource_name}, "
            "which follows from spec.parallelism.tensor: remove it"
        )


def _memory(spec: SLMDeploymentSpec, resolution: Resolution) -> Iterable[str]:
    limit = ((spec.pod.resources and spec.pod.resources.limits) or {}).get("memory")
    needed = sum(part.size for part in resolution.host_memory)
    if limit is not None and size(limit) < needed:
        fields = ", ".join(part.field for part in resolution.host_memory)
        yield (
            f"spec.pod.resources.limits.memory: {limit} is less than the {in_bytes(needed)} of host memory that "
            f"{fields} takes: raise it, or lower that"
        )


def _affinity(spec: SLMDeploymentSpec) -> Iterable[str]:
    """The shape of the one part that we merge with the accelerator's; the API server checks the rest."""
    node = (spec.pod.affinity or {}).get("nodeAffinity") or {}
    required = (node.get("requiredDuringSchedulingIgnoredDuringExecution") or {}) if isinstance(node, dict) else None
    terms = (required.get("nodeSelectorTerms") or []) if isinstance(required, dict) else None
    if not isinstance(terms, list) or not all(
        isinstance(term, dict) and all(isinstance(part, list) for part in term.values()) for term in terms
    ):
        yield "spec.pod.affinity.nodeAffinity: not the structure that a pod has, see kubectl explain pod.spec.affinity"


def _volumes(spec: SLMDeploymentSpec) -> Iterable[str]:
    paths = [volume.mount_path for volume in spec.pod.volumes or []]
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        yield f"spec.pod.volumes: {path} is mounted twice: give each volume a mountPath of its own"
