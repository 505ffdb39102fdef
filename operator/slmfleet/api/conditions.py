"""Conditions and their reasons: the vocabulary of status, of events and of alerts."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from .base import ApiModel

ConditionStatus = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """What a condition speaks about; True is always good."""

    ACCEPTED = "Accepted"
    ENGINE_COMPATIBLE = "EngineCompatible"
    AVAILABLE = "Available"
    PROGRESSING = "Progressing"
    SCALING_ACTIVE = "ScalingActive"
    ADAPTERS_READY = "AdaptersReady"
    FETCHED = "Fetched"
    LOADED = "Loaded"
    READY = "Ready"


class Reason(StrEnum):
    """Why a condition has its value. Stable: people alert on these words."""

    # Accepted
    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_ACCELERATOR = "UnknownAccelerator"
    NAME_CONFLICT = "NameConflict"
    CHILD_REFUSED = "ChildRefused"
    # EngineCompatible
    COMPATIBLE = "Compatible"
    FLAGS_ADJUSTED = "FlagsAdjusted"
    FLAG_UNVERIFIED = "FlagUnverified"
    UNKNOWN_VERSION = "UnknownVersion"
    FLAG_REMOVED = "FlagRemoved"
    VALUE_REFUSED = "ValueRefused"
    # Available
    AT_LEAST_ONE_READY = "AtLeastOneReady"
    SCALED_TO_ZERO = "ScaledToZero"
    STARTING = "Starting"
    NO_READY_REPLICA = "NoReadyReplica"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL = "ImagePull"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, not a password
    CONFIG_MISSING = "ConfigMissing"
    VOLUME_NOT_READY = "VolumeNotReady"
    POD_SETUP_FAILED = "PodSetupFailed"
    POD_REFUSED = "PodRefused"
    CRASH_LOOP = "CrashLoop"
    NOT_ANSWERING = "NotAnswering"
    POD_ENDED = "PodEnded"
    # Progressing
    UP_TO_DATE = "UpToDate"
    ROLLING_OUT = "RollingOut"
    SCALING = "Scaling"
    TEMPLATE_OUTDATED = "TemplateOutdated"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    PAUSED = "Paused"
    NOT_ACCEPTED = "NotAccepted"
    # ScalingActive
    AT_MAXIMUM = "AtMaximum"
    QUOTA = "Quota"
    NO_SIGNALS = "NoSignals"
    SHADOW = "Shadow"
    # AdaptersReady, and the conditions of a LoRAAdapter
    ADAPTERS_READY = "AdaptersReady"
    DEPLOYMENT_MISSING = "DeploymentMissing"
    DEPLOYMENT_NOT_ACCEPTED = "DeploymentNotAccepted"
    LORA_OFF = "LoRAOff"
    GUARD_OFF = "GuardOff"
    SEVERAL_API_SERVERS = "SeveralAPIServers"
    NO_VOLUME = "NoVolume"
    NO_SLOT = "NoSlot"
    BASE_MODEL_MISMATCH = "BaseModelMismatch"
    RANK_TOO_LARGE = "RankTooLarge"
    UNSUPPORTED_ADAPTER = "UnsupportedAdapter"
    DIGEST_MISMATCH = "DigestMismatch"
    IN_PLACE = "InPlace"
    FETCHED = "Fetched"
    FETCHING = "Fetching"
    FETCH_FAILED = "FetchFailed"
    INVALID_SOURCE = "InvalidSource"
    INVALID_SECRET = "InvalidSecret"  # noqa: S105 - a reason, not a password
    PICKLE_REFUSED = "PickleRefused"
    UNSAFE_FILE = "UnsafeFile"
    TOO_LARGE = "TooLarge"
    MALFORMED = "Malformed"
    NOT_FOUND = "NotFound"
    ACCESS_DENIED = "AccessDenied"
    TARGET_DAMAGED = "TargetDamaged"
    VOLUME_ERROR = "VolumeError"
    UNREACHABLE = "Unreachable"
    INTERRUPTED = "Interrupted"
    LOADED = "Loaded"
    LOADING = "Loading"
    LOAD_FAILED = "LoadFailed"
    SHAPE_MISMATCH = "ShapeMismatch"
    UNSUPPORTED = "Unsupported"
    NAME_TAKEN = "NameTaken"
    ENGINE_REFUSED = "EngineRefused"
    BUSY = "Busy"
    UNVERIFIED = "Unverified"
    GUARD_SILENT = "GuardSilent"
    SERVING = "Serving"
    NOT_SERVING = "NotServing"
    # Ready
    READY = "Ready"


class Condition(ApiModel):
    """One statement about the object, as in metav1.Condition."""

    type: str = Field(max_length=64, description="What the condition speaks about.")
    status: ConditionStatus = Field(description="True, False or Unknown; True is good.")
    reason: str = Field(max_length=64, description="One word for machines and alerts.")
    message: str = Field(max_length=4096, description="The reason in words: what is wrong, where, and what helps.")
    last_transition_time: str = Field(max_length=32, description="When the status last changed (RFC 3339).")
    observed_generation: int = Field(description="The metadata.generation that the condition was computed from.")
