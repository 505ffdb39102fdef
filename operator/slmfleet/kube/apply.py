"""The one write path for children: server-side apply by one field manager, deletes by uid."""

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from .client import Client
from .errors import AlreadyExistsError, ConflictError, KubeError, NotFoundError, RefusedError, TransientError
from .resources import PODS, Key, Manifest, Resource, resource_of, uid_of

MANAGER: Final = "slmfleet"
MARKER: Final = "slmfleet-"
"""What the managers of the few labels and annotations that pods get from us begin with: the ReplicaSet made the rest.
"""

# The same drift is undone so often, then left alone for so many seconds since it was first seen.
_CONTESTED_WRITES: Final = 3
_TRUCE: Final = 600.0

_BOOKKEEPING: Final = frozenset({"resourceVersion", "generation", "managedFields"})
_EXACT: Final = frozenset({"from"})
_QUANTITIES: Final = frozenset({"requests", "limits", "capacity", "sizeLimit"})
_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|[MGTPE]i?|Ki|)")
_SUFFIXES: Final = (
    {"m": Decimal("0.001"), "": Decimal(1)}
    | {suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)}
    | {f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)}
)

logger = logging.getLogger(__name__)

Fence = Callable[[], float]
"""Called before every write: the seconds within which it must be over, lest it lands after another leader's writes.

Raises NotLeaderError when this process may not write.
"""


def drifted(desired: object, live: object, *, quantity: bool = False) -> bool:
    """Whether the live object lacks something that is desired; what only the live one has (defaults, status) is fine.

    Lists are compared element by element: a list that we set is ours as a whole. An absent field is the same as an
    empty one, as it is to the API server, which also rewrites quantities (1000m as 1). Only where each of these
    means something else (the peers of a NetworkPolicy: no selector, and one for everything) all must be the same.
    """
    if isinstance(desired, dict):
        fields = live if isinstance(live, dict) else {}
        return any(
            value != fields.get(key)
            if key in _EXACT
            else drifted(value, fields.get(key), quantity=quantity or key in _QUANTITIES)
            for key, value in desired.items()
        )
    if isinstance(desired, list):
        items = live if isinstance(live, list) else []
        return len(desired) != len(items) or any(map(drifted, desired, items))
    if live is None:
        return bool(desired)
    return bool(desired != live and not (quantity and _amount(desired) == _amount(live)))


def _amount(value: object) -> Decimal | str:
    """A quantity as a number; what is none, as it is."""
    match = _QUANTITY.fullmatch(str(value))
    return Decimal(match[1]) * _SUFFIXES[match[2]] if match else str(value)


def digest(manifest: Manifest) -> str:
    """The same for the same content."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _state(live: Manifest) -> str:
    """The same for the same content; its status and the bookkeeping of its writes are none."""
    metadata = {k: v for k, v in live["metadata"].items() if k not in _BOOKKEEPING}
    return digest({key: value for key, value in live.items() if key != "status"} | {"metadata": metadata})


def _made_by_others(created: Manifest) -> bool:
    """Whether anybody but us has set fields of an object that we meant to create; status is not the maker's."""
    fields = created["metadata"].get("managedFields") or ()
    return any(entry.get("manager") != MANAGER and not entry.get("subresource") for entry in fields)


@dataclass
class _Contest:
    """A drift that comes back: somebody else wants another content, and both of us would write for ever."""

    what: tuple[str, str, str]
    """The child's uid, what we want, what it has."""
    since: float
    writes: int = 0
    told: bool = False


class Applier:
    """Writes children, and only what is not there already.

    An apply is skipped when the live object covers the manifest *and* the manifest is the one applied last: coverage
    alone would not see a field that the manifest no longer has. A new process knows no last one and applies all once.
    """

    def __init__(self, client: Client, fence: Fence) -> None:
        self._client = client
        self._fence = fence
        self._applied: dict[Key, dict[tuple[str, str], tuple[str, str]]] = {}
        self._contests: dict[Key, dict[tuple[str, str], _Contest]] = {}

    async def apply(self, owner: Key, manifest: Manifest, live: Manifest | None) -> Manifest | None:
        """Bring a child of `owner` to the manifest; the written object, or None when nothing was to be written.

        `live` is the child as it was last seen, and must be None only for one that was looked for and not found.
        Raises ConflictError when it is another object by now, or when somebody else made one of that name first, and
        NotLeaderError when this process may not write.
        """
        identity, content = (manifest["kind"], manifest["metadata"]["name"]), digest(manifest)
        applied = self._applied.setdefault(owner, {})
        known = applied.get(identity) == (uid_of(live or {}), content)
        if live and known and (not drifted(manifest, live) or self._pointless(owner, identity, content, live)):
            self._client.wrote(manifest["kind"], "apply", "unchanged")
            return None
        left = self._fence()
        resource = resource_of(manifest["apiVersion"], manifest["kind"])
        precondition = {"uid": uid_of(live)} if live is not None else {}
        body = manifest | {"metadata": manifest["metadata"] | precondition}
        written: Manifest | None = None
        try:
            # Without force on creation: should somebody else create the name first with other content, nothing is done.
            written = await self._client.apply(
                resource, owner[0], body, manager=MANAGER, force=live is not None, within=left
            )
        except RefusedError:
            if live is None or not drifted(manifest, live):
                raise
        if live is None and written is not None and _made_by_others(written):
            await self._give_back(resource, owner[0], manifest, written)
        if written is None or drifted(manifest, written):
            # An apply merges lists by key: what somebody else put into one stays, and may make the whole invalid (two
            # ports of one name). A merge patch replaces every list that we set.
            left = self._fence()
            whose = {"uid": uid_of(written or live or {})}
            body = manifest | {"metadata": manifest["metadata"] | whose}
            written = await self._client.merge(resource, owner[0], body, manager=MANAGER, within=left)
        applied[identity] = (uid_of(written), content)
        return written

    def _pointless(self, owner: Key, identity: tuple[str, str], content: str, live: Manifest) -> bool:
        """Whether the same drift was undone a few times already and is back: then it is left alone for a while.

        A webhook or a controller that adds to a list of ours would otherwise cost two writes per reconcile for ever.
        """
        what, now = (uid_of(live), content, _state(live)), asyncio.get_running_loop().time()
        contest = self._contests.setdefault(owner, {}).get(identity)
        if contest is None or contest.what != what or now > contest.since + _TRUCE:
            contest = self._contests[owner][identity] = _Contest(what, now)
        contest.writes += 1
        if contest.writes <= _CONTESTED_WRITES:
            return False
        if not contest.told:
            kind, name = identity
            text = "%s %s is changed back by somebody else each time it is corrected: left alone for %.0f s"
            logger.warning(text, kind, name, _TRUCE, extra={"object": {"namespace": owner[0], "name": owner[1]}})
        contest.told = True
        return True

    async def _give_back(self, resource: Resource, namespace: str, manifest: Manifest, taken: Manifest) -> None:
        """Undo an apply that was to create an object and found a stranger's; always raises.

        An apply without force conflicts only where values differ: one that agrees with us has been adopted, and
        garbage collection would take it with the fleet. Applying nothing drops exactly what nobody else set.
        """
        metadata = {"name": manifest["metadata"]["name"], "uid": uid_of(taken)}
        nothing = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": metadata}
        for tries_left in (2, 1, 0):
            try:
                left = self._fence()
                await self._client.apply(resource, namespace, nothing, manager=MANAGER, force=False, within=left)
                break
            except KubeError as error:
                if tries_left and isinstance(error, TransientError):
                    continue
                text = "%s %s/%s is somebody else's but carries our labels and owner, remove them: %s"
                logger.error(text, resource.kind, namespace, metadata["name"], error)  # noqa: TRY400 - not our trace
                raise
        raise ConflictError(f"{manifest['kind']} {metadata['name']} was made by somebody else at the same time")

    async def create(self, owner: Key, manifest: Manifest) -> None:
        """Make a child of a kind that is created only; one of its name that exists counts as made."""
        left = self._fence()
        resource = resource_of(manifest["apiVersion"], manifest["kind"])
        with suppress(AlreadyExistsError):
            await self._client.create(resource, owner[0], manifest, within=left)

    async def mark(
        self,
        namespace: str,
        name: str,
        uid: str,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        *,
        about: str,
    ) -> Manifest:
        """Set labels and annotations of a pod; what an earlier mark about the same had and this one lacks is dropped.

        Raises ConflictError when it is another pod by now.
        """
        left = self._fence()
        metadata = {"name": name, "uid": uid, "labels": dict(labels), "annotations": dict(annotations)}
        body = {"apiVersion": PODS.api_version, "kind": PODS.kind, "metadata": metadata}
        return await self._client.apply(PODS, namespace, body, manager=f"{MARKER}{about}", force=True, within=left)

    async def delete(self, owner: Key, resource: Resource, name: str, uid: str, *, grace: int | None = None) -> None:
        """Delete a child, and only the very object that was seen; ConflictError when another has its name by now.

        `grace`: seconds until a pod is killed, instead of those in its spec.
        """
        left = self._fence()
        self._applied.get(owner, {}).pop((resource.kind, name), None)
        self._contests.get(owner, {}).pop((resource.kind, name), None)
        try:
            await self._client.delete(resource, owner[0], name, uid, grace=grace, within=left)
        except NotFoundError:
            return  # what was asked for

    def forget(self, owner: Key) -> None:
        """Free the memory of an owner that is gone."""
        self._applied.pop(owner, None)
        self._contests.pop(owner, None)
