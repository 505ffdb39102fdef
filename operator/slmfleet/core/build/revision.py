"""The ControllerRevision that keeps a rendered pod template."""

from slmfleet.core.names import Names
from slmfleet.core.types import Manifest


def controller_revision(names: Names, name: str, number: int, data: Manifest) -> Manifest:
    """An immutable record of what was rendered, from what, by whom."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": names.metadata(name),
        "revision": number,
        "data": data,
    }
