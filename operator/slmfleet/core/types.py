"""The two ends of a decision: what was observed, and what follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from slmfleet.api.access import Peer

Manifest = dict[str, Any]


@dataclass(frozen=True, order=True)
class Ref:
    """An object by kind and name, in the namespace of the SLMDeployment; `uid` is the delete's precondition."""

    api_version: str
    kind: str
    name: str
    uid: str = ""

    @classmethod
    def of(cls, manifest: Manifest) -> "Ref":
        """The reference of an object, without its uid: the same before and after it exists."""
        return cls(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"])


@dataclass(frozen=True)
class WriteFailure:
    """A write that the API server refused: bad content (4xx), a quota, an admission policy."""

    ref: Ref
    message: str


@dataclass(frozen=True)
class LogRequest:
    """The log of a container that died, wanted to say why; `key` is the same for the same death."""

    pod: str
    container: str
    previous: bool
    key: str


@dataclass(frozen=True)
class PodEventsRequest:
    """The kubelet's warnings about a pod whose containers are not made, wanted to say why.

    `key` changes as time passes, so that the answer is a recent one.
    """

    uid: str
    key: str


Inquiry = LogRequest | PodEventsRequest
"""What no watch delivers and only some situations need: asked for by a plan, answered before anything is written."""


@dataclass(frozen=True)
class Observed:
    """Everything that a decision about one SLMDeployment may depend on, besides the time.

    `children` holds every object with one of our child names, a stranger's too: plan() tells them apart by owner.
    """

    slm: Manifest
    children: Mapping[Ref, Manifest] = field(default_factory=dict)
    pods: tuple[Manifest, ...] = ()
    accelerator: Manifest | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    """Answers to inquiries, by key; empty where there is nothing to be told."""
    failures: tuple[WriteFailure, ...] = ()


@dataclass(frozen=True)
class Event:
    """A condition that changed, for `kubectl describe` and `kubectl get events`."""

    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    note: str


@dataclass(frozen=True)
class Plan:
    """What is to be done, in order, and what is to be said about it."""

    apply: tuple[Manifest, ...] = ()
    delete: tuple[Ref, ...] = ()
    status: Manifest = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    inquiries: tuple[Inquiry, ...] = ()
    requeue_after: float | None = None


@dataclass(frozen=True)
class Config:
    """The operator's choices that shape what it renders; those about pods only ever enter a new revision."""

    renderer: str
    images: Mapping[str, str]
    """Platform (cuda, rocm, cpu) to image, with {version} in it."""
    guard: Mapping[str, str] = field(default_factory=dict)
    """The engine guard's files by name."""
    key: bytes = field(default=b"", repr=False)
    """What the tokens of the guards are derived from."""
    peers: tuple[Peer, ...] = ()
    """Who may connect to every engine: the operator and the scrapers of its installation."""
