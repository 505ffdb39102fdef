"""`status` of an SLMDeployment: written whole by the operator, never by a user."""

from typing import Annotated, Literal

from pydantic import Field

from .base import ApiModel
from .cold_start import ColdStartStatus
from .conditions import Condition
from .scaling import ScalingStatus

Phase = Literal[
    "Pending", "Starting", "Ready", "Updating", "Scaling", "Degraded", "Failed", "ScaledToZero", "Invalid", "Paused"
]


class RevisionStatus(ApiModel):
    """The pod template in use."""

    name: str = Field(max_length=253, description="ControllerRevision that holds the pod template.")
    renderer: str = Field(max_length=64, description="Version of slmfleet that rendered it.")


class EngineAdjustment(ApiModel):
    """A wish of the spec that the engine could not be given as written."""

    field: str = Field(max_length=253, description="Field of the spec.")
    flag: str = Field(max_length=253, description="The engine's flag that it is about.")
    why: str = Field(max_length=1024, description="What was done instead, and why.")


class EngineStatus(ApiModel):
    """The engine in use."""

    version: str = Field(max_length=20, description="Release of vLLM.")
    image: str = Field(max_length=512, description="Container image of the pod template.")
    adjusted: list[EngineAdjustment] | None = Field(
        None, max_length=32, description="Fields that this release or platform of the engine has no way to honour."
    )


class SLMDeploymentStatus(ApiModel):
    """What the fleet is."""

    observed_generation: int = Field(0, description="The metadata.generation that this status was computed from.")
    phase: Phase = Field("Pending", description="The state in one word; the conditions say why.")
    ready: str = Field("0/0", max_length=16, description="Ready and desired replicas, such as 1/2.")
    desired_replicas: int = Field(0, description="Replicas that there should be.")
    replicas: int = Field(0, description="Pods that exist; what /scale reports.")
    ready_replicas: int = Field(0, description="Pods that answer requests.")
    updated_replicas: int = Field(0, description="Pods with the current template.")
    gpus: int = Field(0, description="GPUs that the desired replicas take.")
    selector: str = Field("", max_length=512, description="Label selector of the pods, for /scale.")
    url: str = Field("", max_length=512, description="Address of the OpenAI-compatible API inside the cluster.")
    engine: EngineStatus | None = Field(None, description="The engine in use.")
    revision: RevisionStatus | None = Field(None, description="The pod template in use.")
    cold_start: ColdStartStatus | None = Field(None, description="How long replicas take to start.")
    scaling: ScalingStatus | None = Field(None, description="Why there are so many replicas.")
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            description="Statements about the fleet; Ready sums them up.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []  # noqa: RUF012 - pydantic copies defaults
