"""What the kubelet warns of about a pod: the only place where a volume that cannot be mounted is explained."""

import logging

from .client import Client
from .errors import KubeError
from .resources import POD_EVENTS, Manifest

logger = logging.getLogger(__name__)


async def latest_warning(client: Client, namespace: str, uid: str) -> str:
    """'Reason: message' of the newest event about the pod if it is a warning, else "". Never fails: it only explains.

    A warning that something normal followed (a mount that failed once, then a long pull) is over, as is what the
    scheduler warned of before it found a node.
    """
    try:
        events, _ = await client.list(POD_EVENTS, namespace, fields=f"involvedObject.uid={uid}")
    except KubeError as error:
        logger.info("no events of pod %s in %s: %s", uid, namespace, error)
        return ""
    newest = max((e for e in events if e.get("reason") != "FailedScheduling"), key=_when, default=None)
    if newest is None or newest.get("type") != "Warning":
        return ""
    return f"{newest.get('reason', '')}: {newest.get('message', '')}"


def _when(event: Manifest) -> str:
    """RFC 3339 in UTC sorts as text; which of the fields is set depends on who posted the event."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next((time for time in times if time), event["metadata"].get("creationTimestamp", "")))
