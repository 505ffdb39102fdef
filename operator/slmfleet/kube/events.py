"""Kubernetes Events about our objects: what `kubectl describe` shows."""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from .apply import Fence
from .client import Client
from .errors import KubeError
from .resources import EVENTS, Manifest

CONTROLLER: Final = "slmfleet.dev/operator"
_MANAGER: Final = "slmfleet-events"
_NOTE_BYTES: Final = 1024
# A repeat within the window counts up the event instead of adding one; the API server forgets events after an hour.
_WINDOW: Final = 600.0
# Per object, as in client-go: a burst, then one event in five minutes.
_BURST: Final = 25.0
_REFILL: Final = 1 / 300
_KEPT: Final = 4096

logger = logging.getLogger(__name__)


@dataclass
class _Series:
    name: str
    event_time: str
    began: float
    count: int


@dataclass
class _Allowance:
    tokens: float
    at: float


class Recorder:
    """Posts events. A lost event is logged and never an error: status has the same facts."""

    def __init__(self, client: Client, fence: Fence, instance: str, wall: Callable[[], datetime]) -> None:
        """`instance` names this process, usually its pod; `wall` tells the time that people read."""
        self._client = client
        self._fence = fence
        self._instance = instance[:128]
        self._wall = wall
        self._series: OrderedDict[str, _Series] = OrderedDict()
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()

    async def post(self, about: Manifest, *, kind: str, reason: str, action: str, note: str) -> None:
        """Say something about an object; `kind` is Normal or Warning, the note is cut at 1024 bytes."""
        metadata = about["metadata"]
        reference = {"kind": about["kind"], "namespace": metadata.get("namespace", ""), "name": metadata["name"]}
        if not self._allowed(metadata["uid"]):
            logger.info("event %s not posted, the object has too many: %s", reason, note, extra={"object": reference})
            return
        note = _cut(note)
        manifest = self._event(about, kind, reason, action, note)
        try:
            left = self._fence()
            namespace = metadata.get("namespace") or "default"
            await self._client.apply(EVENTS, namespace, manifest, manager=_MANAGER, force=True, within=left)
        except KubeError as error:
            logger.warning("event %s (%s) not posted: %s", reason, note, error, extra={"object": reference})

    def _event(self, about: Manifest, kind: str, reason: str, action: str, note: str) -> Manifest:
        """The event, or its repeat with a series."""
        metadata = about["metadata"]
        stamp = self._wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        series, repeated = self._count(f"{metadata['uid']} {kind} {reason} {action} {note}", metadata["name"], stamp)
        regarding = {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": metadata["name"]}
        # No resourceVersion: a repeat would have another one, and what an event is about cannot change.
        regarding |= {key: metadata[key] for key in ("namespace", "uid") if key in metadata}
        event: Manifest = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": series.name, "namespace": metadata.get("namespace") or "default"},
            "eventTime": series.event_time,
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": action[:128],
            "reason": reason[:128],
            "type": kind,
            "note": note,
            "regarding": regarding,
        }
        if repeated:
            event["series"] = {"count": series.count, "lastObservedTime": stamp}
        return event

    def _count(self, identity: str, name: str, stamp: str) -> tuple[_Series, bool]:
        now = _now()
        series = self._series.get(identity)
        repeated = series is not None and now < series.began + _WINDOW
        if series is None or not repeated:
            suffix = hashlib.sha256(f"{identity} {stamp}".encode()).hexdigest()[:16]
            series = self._series[identity] = _Series(f"{name[:230]}.{suffix}", stamp, now, 0)
        series.count += 1
        _keep(self._series, identity)
        return series, repeated

    def _allowed(self, uid: str) -> bool:
        now = _now()
        allowance = self._allowances.setdefault(uid, _Allowance(_BURST, now))
        allowance.tokens = min(_BURST, allowance.tokens + (now - allowance.at) * _REFILL)
        allowance.at = now
        _keep(self._allowances, uid)
        if allowance.tokens < 1:
            return False
        allowance.tokens -= 1
        return True


def _keep(memory: OrderedDict[str, Any], key: str) -> None:
    """Mark a key as used and let go of the least recently used ones."""
    memory.move_to_end(key)
    while len(memory) > _KEPT:
        memory.popitem(last=False)


def _cut(note: str) -> str:
    """At most 1024 bytes, never half a character."""
    data = note.encode()
    return note if len(data) <= _NOTE_BYTES else data[: _NOTE_BYTES - 3].decode(errors="ignore") + "..."


def _now() -> float:
    return asyncio.get_running_loop().time()
