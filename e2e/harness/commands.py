"""kubectl and helm, as a user types them."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OUTPUT_LINES = 40


class CommandError(Exception):
    """A command that ended with another exit code than 0; the message holds the end of what it said."""


@dataclass(frozen=True)
class Result:
    """What a command said and how it ended."""

    stdout: str
    stderr: str
    code: int

    @property
    def warnings(self) -> list[str]:
        """The API server's warnings, as kubectl and helm print them."""
        marks = ("Warning: ", "warnings.go:", "level=WARN")
        return [line for line in self.stderr.splitlines() if any(mark in line for mark in marks)]


@dataclass(frozen=True)
class Commands:
    """The programs of one cluster: which ones, and whom they talk to."""

    kubeconfig: Path
    path: str
    """PATH on which kubectl and helm are looked up."""

    def run(self, program: str, *arguments: str, stdin: str | None = None) -> Result:
        """Run kubectl or helm to its end, whatever its exit code."""
        done = subprocess.run(
            self.argv(program, *arguments),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(),
        )
        return Result(done.stdout, done.stderr, done.returncode)

    def succeed(self, program: str, *arguments: str, stdin: str | None = None) -> Result:
        """Run kubectl or helm; CommandError if it fails."""
        result = self.run(program, *arguments, stdin=stdin)
        if result.code:
            said = "\n".join((result.stdout + result.stderr).strip().splitlines()[-OUTPUT_LINES:])
            raise CommandError(f"`{program} {' '.join(arguments)}` ended with {result.code}:\n{said}")
        return result

    def argv(self, program: str, *arguments: str) -> Sequence[str]:
        """The command line, for those who start it themselves."""
        found = shutil.which(program, path=self.path)
        if found is None:
            raise CommandError(f"`{program}` is not on PATH: install it")
        return [found, *arguments]

    def environment(self) -> Mapping[str, str]:
        """The environment of a command."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": self.path}
