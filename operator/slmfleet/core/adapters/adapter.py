"""A LoRAAdapter as it is read from its manifest, and what its status remembers."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from slmfleet.api.adapter_facts import AdapterFacts
from slmfleet.api.conditions import Reason
from slmfleet.api.crds import LORA_ADAPTER
from slmfleet.api.loraadapter import AdapterVersion, LoRAAdapterSpec
from slmfleet.api.rules import broken, violations
from slmfleet.core.accept import describe
from slmfleet.core.problems import Verdict, bounded
from slmfleet.core.types import Manifest

Part = TypeVar("Part", bound=BaseModel)

SHORT: Final = 12
"""Digits of a digest that tell versions apart, in names and for people."""


@dataclass(frozen=True)
class Version:
    """One state of an adapter's files, which never changes."""

    digest: str
    path: str = field(compare=False)
    """Where the engine finds it; the same files elsewhere are the same version."""

    @property
    def short(self) -> str:
        """The first digits of its digest."""
        return self.digest.removeprefix("sha256:")[:SHORT]

    def named(self, served: str) -> str:
        """What vLLM calls it: no name of a model has an @, so no client can mean it by chance."""
        return f"{served}@{self.short}"


def served_of(name: str) -> str:
    """The served name in what vLLM calls a version."""
    return name.rpartition("@")[0]


@dataclass(frozen=True)
class Track:
    """Which versions a name has gone through: what the status remembers."""

    active: Version | None = None
    """What the served name stands for."""
    previous: Version | None = None
    """What it stood for before, while that stays loaded."""
    moved_at: datetime | None = None


@dataclass(frozen=True)
class Adapter:
    """One LoRAAdapter."""

    manifest: Manifest = field(repr=False)
    spec: LoRAAdapterSpec
    facts: AdapterFacts | None = None
    """What the last status told about the files; whether that is still the source is for the reader to check."""
    track: Track = Track()
    pods: Mapping[str, Manifest] = field(default_factory=dict)
    """The pods that were chosen last, and what was told about each."""

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Its uid; empty for an object that was never stored."""
        return str(self.manifest["metadata"].get("uid", ""))

    @property
    def served_name(self) -> str:
        """What clients put into "model"."""
        return self.spec.served_name or self.name

    @property
    def replicas(self) -> int | None:
        """How many pods should have it; None for all."""
        wanted = self.spec.placement.replicas
        return None if wanted == "All" else int(wanted)


def read_adapter(manifest: Manifest) -> Adapter | Verdict:
    """Parse and check; a Verdict says why it cannot be read and what helps."""
    spec, wrong = _checked(json.dumps(manifest.get("spec", {})))
    if spec is None:
        return Verdict(Reason.INVALID_SPEC, "; ".join(wrong))
    rules = {"x-kubernetes-validations": LORA_ADAPTER.rules}
    if found := [*map(str, broken(rules, manifest, "")), *wrong]:
        return Verdict(Reason.INVALID_SPEC, bounded("; ".join(found)))
    status = manifest.get("status") or {}
    moved = status.get("movedAt")
    track = Track(
        _version(status.get("active")),
        _version(status.get("previous")),
        datetime.fromisoformat(moved) if moved else None,
    )
    pods = {str(pod.get("name")): dict(pod) for pod in status.get("pods") or ()}
    return Adapter(manifest, spec, _known(AdapterFacts, status.get("source")), track, pods)


@lru_cache(maxsize=4096)
def _checked(text: str) -> tuple[LoRAAdapterSpec | None, tuple[str, ...]]:
    """The spec and what is wrong with it; none where it cannot be read.

    Kept, since the specs of all adapters are read at each news of any of them, and hardly ever change.
    """
    try:
        spec = LoRAAdapterSpec.model_validate_json(text)
    except ValidationError as error:
        return None, (describe(error, "spec"),)
    return spec, tuple(map(str, violations(spec, "spec")))


def in_order(adapters: Iterable[Manifest]) -> list[Manifest]:
    """Oldest first: who came later gives way."""
    return sorted(adapters, key=lambda a: (a["metadata"].get("creationTimestamp", ""), a["metadata"]["name"]))


def _version(value: Any) -> Version | None:  # noqa: ANN401 - whatever some release wrote
    known = _known(AdapterVersion, value)
    return None if known is None else Version(known.digest, known.path)


def _known(model: type[Part], value: Any) -> Part | None:  # noqa: ANN401 - whatever some release wrote
    """A part of the last status; None where it cannot be read, since everything in it can be found out again."""
    if not isinstance(value, dict):
        return None
    names = {info.alias or name for name, info in model.model_fields.items()}
    try:
        return model.model_validate({key: part for key, part in value.items() if key in names})
    except ValidationError:
        return None
