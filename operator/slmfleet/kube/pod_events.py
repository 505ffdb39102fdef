"""What the kubelet warns of about a pod: the only place where a volume that cannot be mounted is explained."""

import logging

from .client import Client
from .errors import KubeError
from .resources import POD_EVENTS, Manifest

logger = logging.getLogger(__name__)


async def latest_warning(client: Client, namespace: str, uid: str) -> str:
    """'Reason: message' of the newest warning about the pod; "" when there is none. Never fails: it only explains."""
    try:
        events, _ = await client.list(POD_EVENTS, namespace, fields=f"involvedObject.uid={uid},type=Warning")
    except KubeError as error:
        logger.info("no events of pod %s in %s: %s", uid, namespace, error)
        return ""
    # What the scheduler warned of before it found a node is over.
    newest = max((e for e in events if e.get("reason") != "FailedScheduling"), key=_when, default=None)
    return f"{newest.get('reason', '')}: {newest.get('message', '')}" if newest else ""


def _when(event: Manifest) -> str:
    """RFC 3339 in UTC sorts as text; which of the fields is set depends on who posted the event."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next((time for time in times if time), event["metadata"].get("creationTimestamp", "")))
