"""The cluster that everything runs on: the user's own, or the local one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import lifecycle
from e2e.cluster.console import Console
from e2e.cluster.settings import Settings

from .api import Api, connected
from .commands import Commands, Result


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    commands: Commands
    api: Api
    local: bool
    """Whether it is the one of `e2e.cluster`: images are loaded into it, and its Services answer on this machine."""

    def kubectl(self, *arguments: str, stdin: str | None = None) -> Result:
        """Run kubectl; CommandError if it fails."""
        return self.commands.succeed("kubectl", *arguments, stdin=stdin)

    def helm(self, *arguments: str) -> Result:
        """Run helm; CommandError if it fails."""
        return self.commands.succeed("helm", *arguments)


@contextmanager
def running(console: Console | None = None) -> Iterator[Cluster]:
    """The user's cluster where $KUBECONFIG names one, else the local one, started if it does not run."""
    settings = Settings()
    chosen = os.environ.get("KUBECONFIG")
    local = not chosen or Path(chosen).resolve() == settings.kubeconfig.resolve()
    if local:
        lifecycle.up(settings, console or Console(quiet=True))
    path = os.environ.get("PATH", os.defpath)
    commands = Commands(settings.kubeconfig, f"{settings.bin}:{path}") if local else Commands(Path(str(chosen)), path)
    with connected(commands) as api:
        yield Cluster(commands, api, local)
