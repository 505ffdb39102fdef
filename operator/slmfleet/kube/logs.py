"""The last words of containers that died."""

import logging
from functools import partial
from typing import Final

from .asked import Asked
from .client import Client
from .errors import KubeError

LINES: Final = 400
BYTES: Final = 64 * 1024
# limitBytes counts from the start of the requested lines, so it can only guard against endless lines.
_SERVER_LIMIT: Final = 4 * 1024 * 1024
_KEPT: Final = 256
_RETRY: Final = 60.0

logger = logging.getLogger(__name__)


class Logs:
    """Log tails, each fetched once per death."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked = Asked(_KEPT, _RETRY)

    async def tail(self, namespace: str, pod: str, container: str, *, key: str) -> str:
        """The last 400 lines, at most 64 KiB, of the container before the present one; "" while there is no log.

        `key` names its death. Never fails: the log only explains. An absent one is asked for again after a minute.
        """
        return await self._asked.text(key, partial(self._fetch, namespace, pod, container))

    async def _fetch(self, namespace: str, pod: str, container: str) -> str:
        query = [("container", container), ("previous", "true")]
        query += [("tailLines", str(LINES)), ("limitBytes", str(_SERVER_LIMIT))]
        try:
            tail = await self._client.pod_log(namespace, pod, query, limit=BYTES)
        except KubeError as error:
            logger.info("no log of container %s: %s", container, error, extra={"object": _ref(namespace, pod)})
            return ""
        return tail.decode(errors="replace")


def _ref(namespace: str, pod: str) -> dict[str, str]:
    return {"kind": "Pod", "namespace": namespace, "name": pod}
