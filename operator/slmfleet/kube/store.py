"""The newest known state of a set of objects, whatever order the news arrives in."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf

from .resources import Key, Manifest, name_of, uid_of, version_of

_GRAVES = 4096


@dataclass(frozen=True)
class Change:
    """What became of an object; `before` is None for a new one, `after` for a deleted one."""

    before: Manifest | None
    after: Manifest | None


class Store:
    """Objects of one resource by namespace and name.

    Watch events, lists and the answers to our own writes all end here, in any order: an older state never replaces a
    newer one, and an object that is known to be deleted does not come back from a list that was taken before.
    """

    def __init__(self) -> None:
        self._objects: dict[Key, Manifest] = {}
        # The resourceVersion as of which a uid was gone. A uid is never reused, but it can come back: a watch by label
        # calls an object deleted that lost the label.
        self._deleted: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Manifest]:
        return iter(list(self._objects.values()))

    def get(self, key: Key) -> Manifest | None:
        """The newest state of an object, None when it does not exist."""
        return self._objects.get(key)

    def put(self, obj: Manifest) -> Change | None:
        """Take in a state of an object. None when it says nothing new."""
        key, before = name_of(obj), self._objects.get(name_of(obj))
        if version_of(obj) <= self._deleted.get(uid_of(obj), -1):
            return None
        if before is not None and version_of(obj) <= version_of(before):
            return None
        if before is not None and uid_of(before) != uid_of(obj):
            self._bury(before, inf)
        self._deleted.pop(uid_of(obj), None)
        # managedFields take a third of an object's memory, and nothing here reads them
        kept = obj | {"metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}
        self._objects[key] = kept
        return Change(before, kept)

    def remove(self, obj: Manifest, version: float | None = None) -> Change | None:
        """Take in that an object is gone as of `version` (None: its own). None when that is no news.

        A newer state brings it back; none does when `version` is infinite.
        """
        gone = version_of(obj) if version is None else version
        before = self._objects.get(name_of(obj))
        if before is not None and uid_of(before) == uid_of(obj) and version_of(before) > gone:
            return None  # it came back since
        self._bury(obj, gone)
        if before is None or uid_of(before) != uid_of(obj):
            return None
        del self._objects[name_of(obj)]
        return Change(before, None)

    def replace(self, objects: Iterable[Manifest], version: int, namespace: str | None = None) -> list[Change]:
        """Take in a complete list of a namespace (None: of all) as of resourceVersion `version`.

        What the list lacks and is not newer than it is gone.
        """
        changes, listed = [], set()
        for obj in objects:
            listed.add(name_of(obj))
            changes.append(self.put(obj))
        vanished = [
            obj
            for key, obj in self._objects.items()
            if key not in listed and version_of(obj) <= version and namespace in (None, key[0])
        ]
        changes += [self.remove(obj, version) for obj in vanished]
        return [change for change in changes if change is not None]

    def _bury(self, obj: Manifest, version: float) -> None:
        self._deleted[uid_of(obj)] = max(version, self._deleted.get(uid_of(obj), -1))
        if len(self._deleted) > _GRAVES:
            self._deleted.popitem(last=False)
