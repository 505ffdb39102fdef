"""Resolutions for tests: the shortest spec, with other parts."""

from typing import Any

from slmfleet.api.catalogue import builtin
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.engine.resolution import Request, Resolution
from slmfleet.engine.resolve import resolve

HUB = "hf://Qwen/Qwen3-8B"


def resolved(
    version: str = "0.32.0",
    *,
    on: str = "nvidia-l4",
    tensor: int = 1,
    model: Any = None,
    guard: Any = None,
    **engine: Any,
) -> Resolution:
    """What a fleet `support` comes to; keyword arguments are fields of spec.engine, as in a manifest."""
    spec = SLMDeploymentSpec.model_validate(
        {
            "model": model or {"uri": HUB},
            "engine": {"version": version, **engine},
            "parallelism": {"tensor": tensor},
            "accelerator": {"class": on},
            **({"guard": guard} if guard else {}),
        }
    )
    accelerator = builtin(on)
    assert accelerator is not None
    return resolve(Request("support", spec, accelerator, drain_seconds=300))


def words(resolution: Resolution, *fields: str) -> list[str]:
    """The command line's words that fields of spec.engine ask for, in its order; a field stands for those inside it."""
    paths = tuple(f"spec.engine.{field}" for field in fields)
    return [
        word
        for argument in resolution.arguments
        if any(argument.field == path or argument.field.startswith(f"{path}.") for path in paths)
        for word in argument.words
    ]


def env(resolution: Resolution) -> dict[str, str | None]:
    """Variables with their values; None where a Secret has it."""
    return {variable.name: variable.value for variable in resolution.variables}


def adjusted(resolution: Resolution) -> dict[str, str]:
    """Field of spec.engine -> why, without the drain, which has nothing to do with the fields."""
    return {
        a.field.removeprefix("spec.engine."): a.why for a in resolution.adjustments if a.field != "spec.drain.timeout"
    }


def refused(resolution: Resolution) -> list[str]:
    """The problems in words."""
    return [str(problem) for problem in resolution.problems]
