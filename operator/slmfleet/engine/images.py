"""Where upstream publishes vLLM."""

from typing import Final

DEFAULT_IMAGES: Final[dict[str, str]] = {
    "cuda": "vllm/vllm-openai:v{version}",
    "rocm": "vllm/vllm-openai-rocm:v{version}",
    "cpu": "vllm/vllm-openai-cpu:v{version}",
}
"""Platform to image; {version} is the release. Source: the vLLM project's repositories on Docker Hub."""


def default_fetcher(version: str) -> str:
    """The image that fetches adapters, of a release of slmfleet."""
    return f"slmfleet/fetcher:{version}"
