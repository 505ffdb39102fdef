"""The container of the vLLM server: its command, its port, and where it finds things."""

from typing import Final

# The module instead of the `vllm` script or the image's entrypoint: it exists in every supported release and image.
MODULE: Final = "vllm.entrypoints.openai.api_server"
COMMAND: Final = ["python3", "-m", MODULE]
PORT: Final = 8000
PVC_MOUNT: Final = "/pvc"


def model_argument(uri: str) -> str:
    """What --model gets: a hub name, or the directory where the weights are inside the container."""
    scheme, _, rest = uri.partition("://")
    if scheme == "pvc":
        _, _, path = rest.partition("/")
        return f"{PVC_MOUNT}/{path}" if path else PVC_MOUNT
    return rest


def local_claim(uri: str) -> str | None:
    """The PersistentVolumeClaim of a pvc:// model."""
    scheme, _, rest = uri.partition("://")
    return rest.partition("/")[0] if scheme == "pvc" else None
