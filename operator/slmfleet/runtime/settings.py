"""The operator's settings, from environment variables that start with SLMFLEET_."""

import socket
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from slmfleet.engine.images import DEFAULT_IMAGES

PREFIX: Final = "SLMFLEET_"
_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
ImageTemplate = Annotated[str, Field(max_length=512)]


class SettingsError(Exception):
    """A setting that cannot be used; the message names the variable, the value and the fix."""


def _own_namespace() -> str:
    return _OWN_NAMESPACE.read_text().strip() if _OWN_NAMESPACE.is_file() else "default"


class Settings(BaseSettings):
    """Validated once, at the start."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    namespaces: Annotated[tuple[Name, ...], NoDecode] = Field(
        (), description="Namespaces to work in, separated by commas; empty: all of them."
    )
    pod_name: Name = Field(
        default_factory=lambda: socket.gethostname().lower(), description="This process, for people."
    )
    pod_namespace: Name = Field(default_factory=_own_namespace, description="Where the lease is kept.")
    leader_election: bool = Field(True, description="Whether a lease decides which replica works.")
    lease_name: Name = Field("slmfleet-operator", description="Name of the lease.")
    guard_key: Name = Field(
        "slmfleet-guard-key", description="Secret beside the lease with the key of the guards' tokens; made if missing."
    )
    workers: int = Field(4, ge=1, le=64, description="SLMDeployments that are worked on at the same time.")
    sweep_seconds: float = Field(
        600.0, ge=10, le=86_400, description="Seconds between full lists, which find what a watch has lost."
    )
    port: int = Field(8080, ge=1, le=65_535, description="Port of /healthz, /readyz and /metrics.")
    image_cuda: ImageTemplate = Field(DEFAULT_IMAGES["cuda"], description="vLLM image for NVIDIA GPUs.")
    image_rocm: ImageTemplate = Field(DEFAULT_IMAGES["rocm"], description="vLLM image for AMD GPUs.")
    image_cpu: ImageTemplate = Field(DEFAULT_IMAGES["cpu"], description="vLLM image for CPUs.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["json", "text"] = Field("json", description="json: one object per line; text: for a terminal.")

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("image_cuda", "image_rocm", "image_cpu")
    @classmethod
    def _has_version(cls, value: str) -> str:
        rest = value.replace("{version}", "")
        if rest == value or set(rest) & set("{} "):
            raise ValueError("write the image with {version} where spec.engine.version belongs, and no other braces")
        return value

    @property
    def images(self) -> dict[str, str]:
        """Platform to image template."""
        return {"cuda": self.image_cuda, "rocm": self.image_rocm, "cpu": self.image_cpu}


def load() -> Settings:
    """The settings of this process. Raises SettingsError with everything that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_problem(item) for item in error.errors(include_url=False))) from error


def _problem(item: object) -> str:
    """One pydantic error as: variable, value, reason."""
    assert isinstance(item, dict)
    variable = PREFIX + str(item["loc"][0]).upper()
    reason = str(item["msg"]).removeprefix("Value error, ")
    return f"{variable}={str(item['input'])[:80]!r}: {reason[:1].lower()}{reason[1:]}"
