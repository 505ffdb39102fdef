"""The kind SLMDeployment: one model, served by N replicas of vLLM."""

from typing import Final, Literal

from pydantic import ConfigDict, Field

from .access import Access
from .base import ApiModel, Duration, ObjectName, cel, rule
from .engine import Engine
from .guard import Guard
from .model import ModelSource
from .pod import PodOverlay
from .quantities import seconds
from .scaling import Scaling

KIND: Final = "SLMDeployment"
PLURAL: Final = "slmdeployments"


class Parallelism(ApiModel):
    """How one replica is spread over GPUs."""

    tensor: int = Field(
        1,
        ge=1,
        le=64,
        description="GPUs of one node that share every layer of a replica. It must divide the attention heads.",
    )


class AcceleratorRef(ApiModel):
    """The GPU model that the replicas run on."""

    class_name: ObjectName = Field(
        alias="class",
        description="Name of an AcceleratorClass object, else of the built-in catalogue (nvidia-l4, nvidia-h100-sxm, "
        "cpu, ...).",
    )


class Rollout(ApiModel):
    """How a changed pod template replaces the running pods."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!(has(self.maxSurge) && has(self.maxUnavailable) && self.maxSurge == 0 && self.maxUnavailable == 0)",
                "maxSurge and maxUnavailable are both 0, no pod could ever be replaced: raise one",
                holds=lambda r: (r.max_surge, r.max_unavailable) != (0, 0),
            )
        )
    )

    max_surge: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Pods above the replicas during a rollout. Default 0 on GPUs (a full cluster has none to spare), "
        "1 on CPUs.",
    )
    max_unavailable: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Pods that may be missing during a rollout. Default 1 where maxSurge is 0, else 0. "
        "One replica without surge is down while its successor loads.",
    )
    on_operator_upgrade: Literal["Keep", "Roll"] = Field(
        "Keep",
        description="Keep: a newer operator goes on with the pod template of the one that rendered it and reports "
        "TemplateOutdated. Roll: it renders again and the pods roll.",
    )


class Drain(ApiModel):
    """How a pod ends."""

    timeout: Duration = Field(
        "300s",
        description="Longest time that running requests get to finish when a pod ends, such as 300s or 10m.",
        json_schema_extra=cel(
            rule(
                "duration(self) >= duration('1s') && duration(self) <= duration('1h')",
                "must lie between 1s and 1h",
                holds=lambda d: 1 <= seconds(d) <= 3600,
                message_expression="self + ' does not lie between 1s and 1h'",
            )
        ),
    )


class SLMDeploymentSpec(ApiModel):
    """What the fleet should be."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!has(self.engine.gguf) || has(self.engine.gguf.quant) == self.model.uri.startsWith('hf://')",
                "a model of the hub (hf://) takes quant, one in a claim or in the image takes file",
                holds=lambda s: (
                    s.engine.gguf is None or (s.engine.gguf.quant is not None) == s.model.uri.startswith("hf://")
                ),
                field=".engine.gguf",
            ),
            # The HPA and KEDA write through /scale, where this holds too.
            rule(
                "!has(oldSelf.scaling) || !has(self.scaling) || oldSelf.scaling.mode == 'Shadow' || "
                "self.scaling.mode == 'Shadow' || self.replicas == oldSelf.replicas",
                "spec.scaling decides the replicas: remove it, or the HPA/KEDA that writes them",
                field=".replicas",
                forbidden=True,
            ),
        )
    )

    model: ModelSource = Field(description="The model and the names it answers to.")
    engine: Engine = Field(description="The vLLM that serves it.")
    accelerator: AcceleratorRef = Field(description="The GPU model that the replicas run on.")
    parallelism: Parallelism = Field(Parallelism(), description="How one replica is spread over GPUs.")
    replicas: int = Field(
        1,
        ge=0,
        le=1000,
        description="Number of replicas; each takes parallelism.tensor GPUs. kubectl scale and an HPA write it. "
        "Without effect while scaling is Active.",
    )
    scaling: Scaling | None = Field(None, description="How many replicas the operator may run, and what for.")
    rollout: Rollout = Field(Rollout(), description="How a changed pod template replaces the running pods.")
    drain: Drain = Field(Drain(), description="How a pod ends.")
    guard: Guard = Field(Guard(), description="What clients may ask of the engine.")
    access: Access = Field(Access(), description="Who may connect to the engines.")
    pod: PodOverlay = Field(PodOverlay(), description="What the platform adds to the engine pods.")
    paused: bool = Field(
        False, description="While true the operator changes nothing of this deployment and only reports its status."
    )

    @property
    def scales(self) -> bool:
        """Whether scaling decides the replicas."""
        return self.scaling is not None and self.scaling.mode == "Active"
