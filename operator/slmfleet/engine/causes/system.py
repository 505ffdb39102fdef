"""What a container lacks whatever runs in it: ranked last, since a better-known cause may have led to it."""

from typing import Final

from .cause import Row, rows

ROWS: Final[tuple[Row, ...]] = rows(
    (r"^[^\n]*No space left on device[^\n]*", "enlarge spec.model.cache, or the node's ephemeral storage"),
    (
        r"^[^\n]*Read-only file system: [^\n]*",
        "the root is read-only: mount an emptyDir there with spec.pod.volumes",
    ),
    (
        r"PermissionError: \[Errno 13\] Permission denied: [^\n]+",
        "the engine's user may not touch this: set spec.pod.fsGroup, or give the volume's files to it",
    ),
    (
        r"getpwuid\(\): uid not found: \d+",
        "the image does not know the engine's user: USER and HOME in spec.pod.env must stay as the operator sets them",
    ),
    (
        r"\[Errno 98\] [^\n]*address already in use[^\n]*",
        "something in the pod has the engine's port already: take it out of spec.engine.image",
    ),
    (
        r"ModuleNotFoundError: No module named '[^'\n]*'",
        "the image's python3 lacks a package: use an image that runs vLLM with it in spec.engine.image",
    ),
)
