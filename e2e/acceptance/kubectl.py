"""kubectl as people run it: a subprocess, whose words are what the tests compare."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.settings import Settings

NAMESPACE = "api-acceptance"
MOST_SECONDS = 300
"""For what kubectl waits for, and then some; on a machine with nothing else to do it is seconds."""


@dataclass(frozen=True)
class Answer:
    """What kubectl said."""

    ok: bool
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """The object that it printed."""
        assert self.ok, self.err
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed

    def refusals(self) -> list[str]:
        """The API server's reasons, one per entry and sorted: it goes through a schema's fields in no fixed order."""
        said = self.err.strip()
        said = re.sub(r'^The \w+ "[^"]*" is invalid: ?', "", said)
        said = re.sub(r"^Error from server \(\w+\): (error when \w+ \"[^\"]*\": )?", "", said)
        said = re.sub(r'^\w+ in version "v1alpha1" cannot be handled as a \w+: ', "", said)
        return sorted(line.removeprefix("* ") for line in said.splitlines() if line)


@dataclass(frozen=True)
class Kubectl:
    """kubectl with a cluster; namespaced objects live in a namespace of these tests."""

    binary: str
    kubeconfig: str
    """One file, or several as kubectl takes them."""
    local: bool
    """Whether it is the cluster of `e2e.cluster`."""

    def __call__(self, *arguments: str, stdin: object = None) -> Answer:
        """Run kubectl; `stdin` is an object that it reads as JSON."""
        done = subprocess.run(
            [self.binary, "--namespace", NAMESPACE, *arguments],
            env={**os.environ, "KUBECONFIG": self.kubeconfig},
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
            check=False,
        )
        return Answer(done.returncode == 0, done.stdout, done.stderr)

    def try_create(self, manifest: dict[str, Any]) -> Answer:
        """What would become of `kubectl create`, without its happening."""
        return self("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", stdin=manifest)


def find() -> Kubectl:
    """kubectl for $KUBECONFIG, else for the local cluster."""
    local = Settings()
    binary = shutil.which("kubectl", path=f"{os.environ.get('PATH', '')}{os.pathsep}{local.bin}")
    if binary is None:
        raise FileNotFoundError("no kubectl on the PATH: install it, or run `make cluster`")
    named = os.environ.get("KUBECONFIG") or str(local.kubeconfig)
    if not any(Path(file).is_file() for file in named.split(os.pathsep)):
        raise FileNotFoundError(f"{named} is missing: set KUBECONFIG, or run `make cluster`")
    return Kubectl(binary, named, local=Path(named) == local.kubeconfig)
