"""The arguments of the vLLM server for one deployment."""

from typing import Final

from slmfleet.api.slmdeployment import SLMDeploymentSpec

from .version import GRACEFUL_SHUTDOWN_SINCE, EngineVersion

# The module instead of the `vllm` script or the image's entrypoint: it exists in every supported release and image.
COMMAND: Final = ["python3", "-m", "vllm.entrypoints.openai.api_server"]
PORT: Final = 8000
PVC_MOUNT: Final = "/pvc"


def model_argument(uri: str) -> str:
    """What --model gets: a hub name, or the directory where the weights are inside the container."""
    scheme, _, rest = uri.partition("://")
    if scheme == "pvc":
        _, _, path = rest.partition("/")
        return f"{PVC_MOUNT}/{path}" if path else PVC_MOUNT
    return rest


def claim_of(uri: str) -> str | None:
    """The PersistentVolumeClaim of a pvc:// model."""
    scheme, _, rest = uri.partition("://")
    return rest.partition("/")[0] if scheme == "pvc" else None


def engine_args(name: str, spec: SLMDeploymentSpec, *, drain_seconds: int) -> list[str]:
    """The server's argv after the command; `name` is the served name where the spec has none."""
    model, engine = spec.model, spec.engine
    args = ["--model", model_argument(model.uri), "--port", str(PORT)]
    args += ["--served-model-name", *(model.served_names or [name])]
    if model.revision is not None:
        args += ["--revision", model.revision]
    if engine.max_model_len is not None:
        args += ["--max-model-len", str(engine.max_model_len)]
    if spec.parallelism.tensor > 1:
        args += ["--tensor-parallel-size", str(spec.parallelism.tensor)]
    if EngineVersion.parse(engine.version) >= GRACEFUL_SHUTDOWN_SINCE:
        args += ["--shutdown-timeout", str(drain_seconds)]
    return args + list(engine.extra_args or [])
