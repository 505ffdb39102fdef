"""What a spec comes to on one release and platform of the engine, item by item, each with its reason."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Literal

from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.engine import Engine
from slmfleet.api.pod import KeyRef
from slmfleet.api.slmdeployment import SLMDeploymentSpec

from .flags import Flags, FlagTable
from .version import EngineVersion


class Origin(StrEnum):
    """Who decided on an argument."""

    USER = "user"
    DEFAULT = "default"
    ADJUSTMENT = "adjustment"
    """The user's wish in the words of this release, or what stands in for it."""


@dataclass(frozen=True)
class Request:
    """One replica to be started."""

    name: str
    """The served name where the spec has none."""
    spec: SLMDeploymentSpec
    accelerator: AcceleratorClassSpec
    drain_seconds: int

    @property
    def engine(self) -> Engine:
        """`spec.engine`."""
        return self.spec.engine

    @property
    def version(self) -> EngineVersion:
        """The release of vLLM."""
        return EngineVersion.parse(self.engine.version)

    @property
    def platform(self) -> Literal["cuda", "rocm", "cpu"]:
        """The build of vLLM."""
        return self.accelerator.platform

    @property
    def gpus(self) -> int:
        """GPUs of a replica."""
        return self.spec.parallelism.tensor

    @property
    def capability(self) -> tuple[int, int] | None:
        """CUDA compute capability, where it is known."""
        if self.platform != "cuda" or self.accelerator.compute_capability is None:
            return None
        major, _, minor = self.accelerator.compute_capability.partition(".")
        return int(major), int(minor)

    @property
    def flags(self) -> Flags:
        """The options of the release."""
        return _flags(self.version)


@lru_cache(maxsize=64)
def _flags(version: EngineVersion) -> Flags:
    return FlagTable.load().for_version(version)


@dataclass(frozen=True)
class Argument:
    """One option of the server's command line: the flag, and its values if it takes any."""

    words: tuple[str, ...]
    field: str
    origin: Origin = Origin.USER
    why: str = ""


@dataclass(frozen=True)
class Variable:
    """An environment variable of the engine: a value, or where the kubelet reads it."""

    name: str
    field: str
    why: str
    value: str | None = None
    secret: KeyRef | None = None


@dataclass(frozen=True)
class HostMemory:
    """Memory of the node that the engine takes besides what any engine needs."""

    size: int
    """Bytes for the whole replica."""
    field: str
    shared: bool = False
    """Whether it lies in /dev/shm."""


@dataclass(frozen=True)
class MountedFile:
    """A key of a ConfigMap as a file in the engine's container."""

    source: KeyRef
    path: str
    field: str


@dataclass(frozen=True)
class Adjustment:
    """A wish that this release or platform has no way to fulfil as written, and what was done about it."""

    field: str
    flag: str
    why: str


@dataclass(frozen=True)
class Problem:
    """A wish that cannot be fulfilled and without which the engine would not be what the user asked for."""

    field: str
    value: str
    reason: str
    fix: str
    removed: bool = False
    """Whether it is the release that lacks something."""

    def __str__(self) -> str:
        return f"{self.field}: {self.value} {self.reason}: {self.fix}"


@dataclass(frozen=True)
class Doubt:
    """Something that is passed on although nobody could check it."""

    field: str
    text: str


@dataclass(frozen=True)
class Remark:
    """Something worth knowing about a wish that is fulfilled."""

    field: str
    text: str


Item = Argument | Variable | HostMemory | MountedFile | Adjustment | Problem | Doubt | Remark


@dataclass(frozen=True)
class Resolution:
    """All that one replica's engine needs from its pod, and what is to be told about it."""

    release: str
    """The release of vLLM that it is for."""
    unknown: str
    """Why the release itself could not be looked up; empty where it could."""
    arguments: tuple[Argument, ...]
    variables: tuple[Variable, ...]
    host_memory: tuple[HostMemory, ...]
    files: tuple[MountedFile, ...]
    adjustments: tuple[Adjustment, ...]
    problems: tuple[Problem, ...]
    doubts: tuple[Doubt, ...]
    remarks: tuple[Remark, ...]

    @property
    def argv(self) -> list[str]:
        """The server's arguments after the command."""
        return [word for argument in self.arguments for word in argument.words]
