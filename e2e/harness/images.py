"""The container images: built from a checkout for the local cluster, or named by the environment."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from e2e.cluster import images
from e2e.cluster.settings import REPOSITORY
from e2e.harness.tiny_adapter import make

from .cluster import Cluster


class NoImageError(Exception):
    """An image that can neither be built here nor is named; the message names the variable."""


@dataclass(frozen=True)
class Images:
    """References for pod specs; each image is built when it is first asked for."""

    cluster: Cluster
    source: Path = field(default=REPOSITORY)

    @cached_property
    def operator(self) -> str:
        """The operator of this checkout."""
        return self._named("SLMFLEET_OPERATOR_IMAGE", lambda: images.operator_image(self.source))

    @cached_property
    def simulator(self) -> str:
        """The engine's look-alike."""
        return self._named("SLMFLEET_SIMULATOR_IMAGE", lambda: images.simulator_image(self.source))

    @cached_property
    def fetcher(self) -> str:
        """What brings adapters to volumes."""
        return self._named("SLMFLEET_FETCHER_IMAGE", lambda: images.fetcher_image(self.source))

    @cached_property
    def engine(self) -> str:
        """The real vLLM for CPUs, with a tiny model and an adapter of it."""
        return self._named("SLMFLEET_ENGINE_IMAGE", self._engine)

    def next_operator(self, source: Path) -> str:
        """The operator of another source tree: a release to come."""
        return self._named("SLMFLEET_NEXT_OPERATOR_IMAGE", lambda: images.operator_image(source))

    def _engine(self) -> str:
        with TemporaryDirectory() as folder:
            adapter = make(Path(folder) / "legal", seed=1)
            return images.engine_image(self.source, {"/opt/adapters/legal": adapter})

    def _named(self, variable: str, build: Callable[[], str]) -> str:
        if named := os.environ.get(variable):
            return named
        if not self.cluster.local:
            raise NoImageError(f"this cluster cannot get a local build: push the image and set {variable} to its name")
        return build()
