"""The operator's settings, from environment variables that start with SLMFLEET_."""

import json
import socket
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from slmfleet import __version__
from slmfleet.api.access import Peer
from slmfleet.api.base import LabelKey, LabelValue
from slmfleet.api.labels import LabelSelector
from slmfleet.api.rules import violations
from slmfleet.engine.images import DEFAULT_IMAGES, default_fetcher

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
    pod_labels: Annotated[dict[LabelKey, LabelValue], NoDecode] = Field(
        {},
        description="Labels of the operator's pods, such as a=b,c=d: engines let them in. Empty: it runs in no pod.",
    )
    metrics_scrapers: Annotated[tuple[Peer, ...], NoDecode] = Field(
        (), max_length=16, description="Who else may connect to every engine: JSON, peers as in a NetworkPolicy."
    )
    leader_election: bool = Field(True, description="Whether a lease decides which replica works.")
    lease_name: Name = Field("slmfleet-operator", description="Name of the lease.")
    guard_key: Name = Field(
        "slmfleet-guard-key", description="Secret beside the lease with the key of the guards' tokens; made if missing."
    )
    workers: int = Field(4, ge=1, le=64, description="SLMDeployments that are worked on at the same time.")
    sweep_seconds: float = Field(
        600.0, ge=10, le=86_400, description="Seconds between full lists, which find what a watch has lost."
    )
    settle_seconds: float = Field(
        240.0,
        ge=0,
        le=3600,
        description="Seconds after its start in which the operator takes no replica away: it has not seen the load.",
    )
    port: int = Field(8080, ge=1, le=65_535, description="Port of /healthz, /readyz and /metrics.")
    image_cuda: ImageTemplate = Field(DEFAULT_IMAGES["cuda"], description="vLLM image for NVIDIA GPUs.")
    image_rocm: ImageTemplate = Field(DEFAULT_IMAGES["rocm"], description="vLLM image for AMD GPUs.")
    image_cpu: ImageTemplate = Field(DEFAULT_IMAGES["cpu"], description="vLLM image for CPUs.")
    fetcher_image: str = Field(
        default_fetcher(__version__), min_length=1, max_length=512, description="Image that fetches adapters."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["json", "text"] = Field("json", description="json: one object per line; text: for a terminal.")

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("pod_labels", mode="before")
    @classmethod
    def _labels(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError("write labels as a=b, separated by commas")
        return {key: label for key, _, label in pairs}

    @field_validator("metrics_scrapers", mode="before")
    @classmethod
    def _json(cls, value: object) -> object:
        try:
            return json.loads(value or "[]") if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError(f"write a list of peers in JSON: {error}") from None

    @field_validator("metrics_scrapers")
    @classmethod
    def _peers(cls, value: tuple[Peer, ...]) -> tuple[Peer, ...]:
        if problems := [str(found) for found in violations(list(value), "")]:
            raise ValueError("; ".join(problems))
        return value

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

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Who may connect to every engine: the operator's own pods, and the scrapers."""
        if not self.pod_labels:
            return self.metrics_scrapers
        namespace = LabelSelector(match_labels={"kubernetes.io/metadata.name": self.pod_namespace})
        own = Peer(namespace_selector=namespace, pod_selector=LabelSelector(match_labels=self.pod_labels))
        return (own, *self.metrics_scrapers)


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
