"""The one writer of status."""

from typing import Final

from .apply import Fence, digest, drifted
from .client import Client
from .resources import Manifest, Resource, uid_of

MANAGER: Final = "slmfleet-status"


class StatusWriter:
    """Applies a whole status, and only when it says something new. Retries nothing: the next reconcile does."""

    def __init__(self, client: Client, fence: Fence) -> None:
        self._client = client
        self._fence = fence
        self._written: dict[str, str] = {}

    async def write(self, resource: Resource, live: Manifest, status: Manifest) -> Manifest | None:
        """Write the status of the object seen as `live`; the written object, or None when nothing changes.

        ConflictError or NotFoundError: that very object is gone. NotLeaderError: this process may not write.
        """
        uid, current = uid_of(live), live.get("status") or {}
        content = "" if current == status else digest(status)
        # The schema's defaults may add to what was written: then only our memory tells that nothing was dropped.
        if not content or (self._written.get(uid) == content and not drifted(status, current)):
            self._client.wrote(resource.kind, "apply-status", "unchanged")
            return None
        left = self._fence()
        metadata = {key: live["metadata"][key] for key in ("name", "namespace", "uid") if key in live["metadata"]}
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "status": status}
        written = await self._client.apply(
            resource,
            metadata.get("namespace", ""),
            body,
            manager=MANAGER,
            force=True,
            subresource="status",
            within=left,
        )
        self._written[uid] = content
        return written

    def forget(self, uid: str) -> None:
        """Free the memory of an object that is gone."""
        self._written.pop(uid, None)
