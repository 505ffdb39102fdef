"""The same cluster, installation and namespaces as in the scenarios."""

from e2e.scenarios.conftest import chat, cluster, images, operator

__all__ = ["chat", "cluster", "images", "operator"]
