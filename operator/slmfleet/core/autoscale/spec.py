"""What the spec and the status of a fleet mean for its scaler."""

import json
from dataclasses import asdict, fields
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from slmfleet.api.quantities import fine_seconds
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.types import Manifest
from slmfleet.engine.steptime import StepTime

from .bounds import schedules
from .schedules import problem
from .settings import Learned, Settings


def settings_of(spec: SLMDeploymentSpec, settle: float, prior: StepTime | None) -> Settings:
    """What the user's spec means for the decision, `settle` seconds after the first look."""
    scaling = spec.scaling
    assert scaling is not None
    given: dict[str, Any] = {"settle": settle, "step_time": prior}
    if (objectives := scaling.objectives) is not None:
        given["ttft_objective"] = _seconds(objectives.ttft_p95)
        given["itl_objective"] = _seconds(objectives.itl_p95)
    if (targets := scaling.targets) is not None:
        given["queue_depth"] = None if targets.queue_depth is None else float(targets.queue_depth)
        if targets.kv_cache_utilization_percent is not None:
            given["kv_target"] = targets.kv_cache_utilization_percent / 100
    if spec.engine.max_num_seqs is not None:
        given["max_num_seqs"] = spec.engine.max_num_seqs
    if scaling.min_replicas == 0:
        given["idle_after"] = scaling.idle_seconds
    return Settings(**given)


def told(learned: Learned) -> dict[str, float]:
    """What was learned, as it stands in status.scaling.learned."""
    return {to_camel(name): value for name, value in asdict(learned).items() if value is not None}


def learned_of(slm: Manifest) -> Learned | None:
    """What an operator before this one has learned, as far as this release knows it."""
    stored = ((slm.get("status") or {}).get("scaling") or {}).get("learned")
    if not isinstance(stored, dict):
        return None
    known = {to_camel(item.name): item.name for item in fields(Learned)}
    return Learned(**{known[key]: float(value) for key, value in stored.items() if key in known and _number(value)})


def scaling_spec(slm: Manifest) -> SLMDeploymentSpec | None:
    """The spec of a fleet that scales; a broken one is for plan() to tell."""
    raw = slm.get("spec") or {}
    if not raw.get("scaling") or slm["metadata"].get("deletionTimestamp"):
        return None
    try:
        spec = SLMDeploymentSpec.model_validate_json(json.dumps(raw))
    except ValidationError:
        return None
    broken = spec.scaling is None or any(problem(window) for window in schedules(spec.scaling))
    return None if broken else spec


def _seconds(duration: str | None) -> float | None:
    return None if duration is None else fine_seconds(duration)


def _number(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, int | float) and not isinstance(value, bool)
