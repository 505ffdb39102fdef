"""The two ends of a decision: what was observed, and what follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from slmfleet.api.access import Peer
from slmfleet.api.cold_start import ColdStartStatus

from .autoscale.advice import Advice

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
    adapter: str = ""
    """The LoRAAdapter that the object is for; empty for the fleet's own."""


@dataclass(frozen=True)
class LogRequest:
    """The log of the container before the present one, wanted to say why it died; `key` names the death."""

    pod: str
    container: str
    key: str


@dataclass(frozen=True)
class PodEventsRequest:
    """The kubelet's warnings about a pod whose containers are not made, wanted to say why.

    `key` changes as time passes, so that the answer is a recent one.
    """

    uid: str
    key: str


@dataclass(frozen=True)
class LastWords:
    """The termination message of the newest pod of a Job that has ended; `key` is the same for the same end."""

    job: str
    key: str


@dataclass(frozen=True)
class JobProgress:
    """The last line of a running Job's pod, or why that does not run; `key` changes as time passes."""

    job: str
    key: str


Inquiry = LogRequest | PodEventsRequest | LastWords | JobProgress
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
    advice: Advice | None = None
    """What the scaling loop has decided last; None while it has decided nothing, or has nothing to."""
    cold_start: ColdStartStatus | None = None
    """How long its replicas have taken to start; None while none was seen to."""
    told: Mapping[str, bool] = field(default_factory=dict)
    """By a pod's uid: what its guard has confirmed last, to drain (True) or to go on (False)."""
    adapters: tuple[Manifest, ...] = ()
    """The LoRAAdapters that name it."""
    reports: Mapping[str, Any] = field(default_factory=dict)
    """By a pod's uid: the last answer of its guard about adapters, as JSON has it."""
    inspected: Mapping[str, Any] = field(default_factory=dict)
    """By an adapter's source key: what a guard has read of files that are in the engine's reach anyway."""


@dataclass(frozen=True)
class PodPatch:
    """The labels and annotations of a pod that are ours to change: all of them, each time."""

    ref: Ref
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    about: Literal["drain", "adapters"] = "drain"
    """What they are about: each subject has its own, and leaves the other's alone."""


@dataclass(frozen=True)
class GuardOrder:
    """What a pod's guard is to be told: to move its clients elsewhere, or to go on."""

    uid: str
    address: str
    """The pod's IP."""
    drain: bool


@dataclass(frozen=True)
class TableOrder:
    """The adapters that a pod should have, for its guard."""

    uid: str
    address: str
    """The pod's IP."""
    incarnation: str
    """Changes when the engine is started again, and the guard with it."""
    table: Manifest
    ready: bool
    """Whether its guard must answer: an engine that starts does not listen yet."""


@dataclass(frozen=True)
class Inspection:
    """Files that a guard is to read; `key` is the same for the same files."""

    key: str
    address: str
    path: str


@dataclass(frozen=True)
class AdapterOutcome:
    """What is to be said about one LoRAAdapter."""

    manifest: Manifest
    status: Manifest
    events: tuple["Event", ...] = ()


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

    patches: tuple[PodPatch, ...] = ()
    """Before anything is applied: a pod that is to go is marked before the replicas shrink."""
    apply: tuple[Manifest, ...] = ()
    delete: tuple[Ref, ...] = ()
    status: Manifest = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    inquiries: tuple[Inquiry, ...] = ()
    orders: tuple[GuardOrder, ...] = ()
    tables: tuple[TableOrder, ...] = ()
    inspections: tuple[Inspection, ...] = ()
    outcomes: tuple[AdapterOutcome, ...] = ()
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
    fetcher: str = ""
    """The image that fetches adapters."""
    peers: tuple[Peer, ...] = ()
    """Who may connect to every engine: the operator and the scrapers of its installation."""
