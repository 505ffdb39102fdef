"""An API server in memory, behind the interface of kube.client.Client: just enough of it to be wrong in the same ways."""

import asyncio
import copy
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from slmfleet.kube.client import Client, Query
from slmfleet.kube.errors import AlreadyExistsError, ConflictError, ExpiredError, KubeError, NotFoundError
from slmfleet.kube.resources import Manifest, Resource, version_of

from .fields import differ, field_at, merge, parsed, prune, selected

Where = tuple[str, str, str]


@dataclass
class _Watch:
    plural: str
    namespace: str | None
    labels: dict[str, str]
    inbox: asyncio.Queue[tuple[str, Manifest] | KubeError | None] = field(default_factory=asyncio.Queue)


class FakeClient(Client):
    """Objects by (plural, namespace, name). Applied fields are remembered per manager, as managedFields do."""

    def __init__(self) -> None:
        self.objects: dict[Where, Manifest] = {}
        self.calls: list[tuple[str, str, str]] = []
        """(verb, kind, name) of every request, in order."""
        self.results: list[tuple[str, str, str]] = []
        """(kind, verb, result) of writes that were found unnecessary."""
        self.logs: dict[tuple[str, bool], bytes | KubeError] = {}
        self.graces: dict[str, int | None] = {}
        """Seconds that deletes gave to objects, by name."""
        self.delay = 0.0
        self._versions = itertools.count(1)
        self._version = 0
        self._uids = itertools.count(1)
        self._applied: dict[Where, dict[str, Manifest]] = defaultdict(dict)
        self._failures: dict[tuple[str, str], list[KubeError]] = defaultdict(list)
        self._history: list[tuple[str, str, Manifest]] = []
        self._oldest = 0
        self._watches: list[_Watch] = []

    # What tests do to it.

    def fail(self, verb: str, kind: str, *errors: KubeError) -> None:
        """The next requests of this verb and kind fail, one per error."""
        self._failures[verb, kind] += errors

    def seed(self, resource: Resource, obj: Manifest) -> Manifest:
        """Somebody else creates or changes an object."""
        where = (resource.plural, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        new = where not in self.objects
        stored = self._store(resource, _types(resource) | copy.deepcopy(obj))
        if new:
            self._applied[where] = {"kubectl": copy.deepcopy(obj)}
        return copy.deepcopy(stored)

    def remove(self, resource: Resource, namespace: str, name: str, *, silently: bool = False) -> None:
        """Somebody else deletes an object; `silently`: the watches lose the news."""
        obj = self.objects.pop((resource.plural, namespace, name))
        obj["metadata"]["resourceVersion"] = self._bump()
        if not silently:
            self._publish(resource.plural, "DELETED", obj)

    def compact(self) -> None:
        """Forget the history: watches that resume from before get 410."""
        self._bump()
        self._oldest = self._version
        self._history.clear()

    def cut(self, error: KubeError | None = None) -> None:
        """End all watches, with an error or as after their time limit."""
        for watch in self._watches:
            watch.inbox.put_nowait(error)

    def bookmark(self) -> None:
        """Send a bookmark to all watches."""
        for watch in self._watches:
            watch.inbox.put_nowait(("BOOKMARK", {"metadata": {"resourceVersion": str(self._version)}}))

    def count(self, verb: str, kind: str) -> int:
        """How many requests of this verb and kind there were."""
        return sum(call[:2] == (verb, kind) for call in self.calls)

    # The interface.

    def wrote(self, kind: str, verb: str, result: str) -> None:
        self.results.append((kind, verb, result))

    async def close(self) -> None:
        return

    async def get(self, resource: Resource, namespace: str, name: str, *, within: float = 0) -> Manifest:
        await self._request("get", resource, name)
        return copy.deepcopy(self._find(resource, namespace, name))

    async def list(
        self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = "", page: int = 500
    ) -> tuple[list[Manifest], str]:
        await self._request("list", resource, "")
        items = [
            copy.deepcopy(obj)
            for (plural, place, _), obj in self.objects.items()
            if plural == resource.plural and namespace in (None, place) and selected(obj, parsed(labels))
            if all(field_at(obj, path) == value for path, value in parsed(fields).items())
        ]
        return items, str(self._version)

    async def watch(
        self, resource: Resource, namespace: str | None, *, labels: str, since: str, seconds: int
    ) -> AsyncIterator[tuple[str, Manifest]]:
        await self._request("watch", resource, since)
        if int(since) < self._oldest:
            raise ExpiredError("too old resource version")
        watch = _Watch(resource.plural, namespace, parsed(labels))
        for plural, kind, obj in self._history:
            if plural == resource.plural and version_of(obj) > int(since):
                self._deliver(watch, kind, obj)
        self._watches.append(watch)
        try:
            async with asyncio.timeout(seconds):
                while (item := await watch.inbox.get()) is not None:
                    if isinstance(item, KubeError):
                        raise item
                    yield item
        except TimeoutError:
            return
        finally:
            self._watches.remove(watch)

    async def apply(
        self,
        resource: Resource,
        namespace: str,
        manifest: Manifest,
        *,
        manager: str,
        force: bool,
        subresource: str = "",
        within: float = 0,
    ) -> Manifest:
        verb = f"apply-{subresource}" if subresource else "apply"
        name = manifest["metadata"]["name"]
        await self._request(verb, resource, name)
        where = (resource.plural, namespace, name)
        existing = self.objects.get(where)
        uid = manifest["metadata"].get("uid")
        if uid is not None and (existing is None or existing["metadata"]["uid"] != uid):
            raise ConflictError(f"uid mismatch: {uid}")
        if existing is None and subresource:
            raise NotFoundError(f"{resource.plural} {name} not found")
        applied = self._applied[where] if existing is not None else {}
        others = {whose: fields for whose, fields in applied.items() if whose != manager}
        if not force and any(differ(fields, manifest) for fields in others.values()):
            raise ConflictError("Apply failed with conflicts")
        merged = copy.deepcopy(existing or {"metadata": {"namespace": namespace}})
        kept: Manifest = {}
        for fields in (*others.values(), manifest):
            merge(kept, copy.deepcopy(fields))
        prune(merged, applied.get(manager, {}), kept)
        merge(merged, copy.deepcopy(manifest))
        answer = copy.deepcopy(existing if merged == existing else self._store(resource, merged))
        self._applied[where] = others | {manager: copy.deepcopy(manifest)}
        answer["metadata"]["managedFields"] = [{"manager": whose} for whose in self._applied[where]]
        return answer

    async def merge(
        self, resource: Resource, namespace: str, manifest: Manifest, *, manager: str, within: float = 0
    ) -> Manifest:
        await self._request("merge", resource, manifest["metadata"]["name"])
        merged = copy.deepcopy(self._find(resource, namespace, manifest["metadata"]["name"]))
        if merged["metadata"]["uid"] != manifest["metadata"]["uid"]:
            raise ConflictError("uid mismatch")
        merge(merged, copy.deepcopy(manifest))
        return copy.deepcopy(self._store(resource, merged))

    async def create(self, resource: Resource, namespace: str, manifest: Manifest, *, within: float) -> Manifest:
        await self._request("create", resource, manifest["metadata"]["name"])
        if (resource.plural, namespace, manifest["metadata"]["name"]) in self.objects:
            raise AlreadyExistsError("already exists")
        return copy.deepcopy(self._store(resource, copy.deepcopy(manifest)))

    async def replace(self, resource: Resource, namespace: str, manifest: Manifest, *, within: float) -> Manifest:
        await self._request("replace", resource, manifest["metadata"]["name"])
        existing = self._find(resource, namespace, manifest["metadata"]["name"])
        if existing["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise ConflictError("the object has been modified")
        return copy.deepcopy(self._store(resource, copy.deepcopy(manifest)))

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        uid: str,
        *,
        grace: int | None = None,
        within: float = 0,
    ) -> None:
        await self._request("delete", resource, name)
        self.graces[name] = grace
        if self._find(resource, namespace, name)["metadata"]["uid"] != uid:
            raise ConflictError("Precondition failed: UID in precondition")
        self.remove(resource, namespace, name)

    async def pod_log(self, namespace: str, pod: str, query: Query, *, limit: int) -> bytes:
        self.calls.append(("log", "Pod", pod))
        answer = self.logs.get((pod, dict(query).get("previous") == "true"), NotFoundError("no log"))
        if isinstance(answer, KubeError):
            raise answer
        return answer[-limit:]

    async def _request(self, verb: str, resource: Resource, name: str) -> None:
        self.calls.append((verb, resource.kind, name))
        await asyncio.sleep(self.delay)
        if errors := self._failures[verb, resource.kind]:
            raise errors.pop(0)

    def _find(self, resource: Resource, namespace: str, name: str) -> Manifest:
        try:
            return self.objects[resource.plural, namespace, name]
        except KeyError:
            raise NotFoundError(f'{resource.plural} "{name}" not found') from None

    def _store(self, resource: Resource, obj: Manifest) -> Manifest:
        metadata = obj["metadata"]
        where = (resource.plural, metadata.get("namespace", ""), metadata["name"])
        before = self.objects.get(where)
        metadata["uid"] = before["metadata"]["uid"] if before else f"uid-{next(self._uids)}"
        generation = before["metadata"]["generation"] if before else 0
        metadata["generation"] = generation + (before is None or before.get("spec") != obj.get("spec"))
        metadata["resourceVersion"] = self._bump()
        self.objects[where] = obj
        self._publish(resource.plural, "MODIFIED" if before else "ADDED", obj, before)
        return obj

    def _bump(self) -> str:
        self._version = next(self._versions)
        return str(self._version)

    def _publish(self, plural: str, kind: str, obj: Manifest, before: Manifest | None = None) -> None:
        obj = copy.deepcopy(obj)
        self._history.append((plural, kind, obj))
        for watch in self._watches:
            if watch.plural != plural:
                continue
            left = before is not None and selected(before, watch.labels) and not selected(obj, watch.labels)
            if left:  # with a label selector, an object that loses the label is deleted for the watch
                watch.inbox.put_nowait(("DELETED", copy.deepcopy(obj)))
            else:
                self._deliver(watch, kind, obj)

    def _deliver(self, watch: _Watch, kind: str, obj: Manifest) -> None:
        if watch.namespace in (None, obj["metadata"].get("namespace", "")) and selected(obj, watch.labels):
            watch.inbox.put_nowait((kind, copy.deepcopy(obj)))


def _types(resource: Resource) -> Manifest:
    return {"apiVersion": resource.api_version, "kind": resource.kind}
