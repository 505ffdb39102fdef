"""`slmfleet explain`: what the engine of an SLMDeployment gets, and why, as plain data."""

from dataclasses import asdict
from typing import Any

from slmfleet.api.describe import description
from slmfleet.api.slmdeployment import KIND
from slmfleet.core.accept import Accepted, accept
from slmfleet.core.problems import Verdict
from slmfleet.core.types import Manifest
from slmfleet.engine.flags import FlagTable
from slmfleet.engine.resolution import Argument, Resolution, Variable
from slmfleet.engine.upgrade import shown, upgrade, value

from .manifests import InputError

Told = dict[str, Any]


def explanation(slm: Manifest, accelerator: Manifest | None) -> Told:
    """Every argument and variable with its field, origin and purpose. Raises InputError for what cannot be read."""
    accepted = _accepted(slm, accelerator)
    resolution = accepted.resolution
    return {
        **_head(slm, accepted),
        "version": accepted.spec.engine.version,
        "arguments": [_argument(argument) for argument in resolution.arguments],
        "environment": [_variable(variable) for variable in resolution.variables],
        "hostMemoryBytes": sum(part.size for part in resolution.host_memory),
        "adjusted": [asdict(adjustment) for adjustment in resolution.adjustments],
        "notes": _notes(resolution),
        "refused": list(accepted.objections),
    }


def difference(slm: Manifest, accelerator: Manifest | None, before: str, after: str) -> Told:
    """What another release changes. Raises InputError for what cannot be read."""
    old, new = (_accepted(_at(slm, version), accelerator) for version in (before, after))
    found = upgrade(old.request, new.request)
    return {
        **_head(slm, new),
        "from": before,
        "to": after,
        "arguments": [asdict(change) for change in found.arguments],
        "environment": [asdict(change) for change in found.variables],
        "adjusted": [asdict(adjustment) for adjustment in found.adjustments],
        "defaults": [asdict(default) for default in found.defaults],
        "notes": _notes(new.resolution),
        "refused": [objection for objection in new.objections if objection not in old.objections],
    }


def refused(told: Told) -> bool:
    """Whether the operator would not start it."""
    return bool(told["refused"])


def _head(slm: Manifest, accepted: Accepted) -> Told:
    return {
        "name": slm["metadata"]["name"],
        "namespace": slm["metadata"]["namespace"],
        "accelerator": accepted.spec.accelerator.class_name,
        "platform": accepted.accelerator.platform,
    }


def _accepted(slm: Manifest, accelerator: Manifest | None) -> Accepted:
    found = accept(slm, accelerator)
    if isinstance(found, Verdict):
        raise InputError(f"{KIND} {slm['metadata']['name']}: {found.reason}: {found.message}")
    return found


def _at(slm: Manifest, version: str) -> Manifest:
    """The same object with another release of vLLM."""
    spec = slm.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("engine"), dict):
        return slm
    return slm | {"spec": spec | {"engine": spec["engine"] | {"version": version}}}


def _argument(argument: Argument) -> Told:
    flag = argument.words[0].partition("=")[0]
    spans = FlagTable.load().spans(flag)
    told: Told = {"flag": flag, "value": value(argument), "origin": argument.origin.value}
    told |= {"field": argument.field} if argument.field else {}
    told |= {"since": spans[-1].since, "until": spans[-1].until} if spans else {}
    return told | {"why": argument.why or description(argument.field)}


def _variable(variable: Variable) -> Told:
    return {"name": variable.name, "value": shown(variable), "field": variable.field, "why": variable.why}


def _notes(resolution: Resolution) -> list[str]:
    doubts = [f"{doubt.field}: {doubt.text}" for doubt in resolution.doubts]
    remarks = [f"{remark.field}: {remark.text}" for remark in resolution.remarks]
    return [*doubts, *remarks, *filter(None, [resolution.unknown])]
