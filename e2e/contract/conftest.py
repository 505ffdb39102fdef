"""Each implementation and its shared server are started once for all tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from e2e.contract import servers
from e2e.contract.guarded import Guarded, started_guarded
from e2e.contract.servers import Implementation, Running

BOTH = ["simulator", pytest.param("vllm", marks=pytest.mark.vllm)]


@pytest.fixture(scope="session")
def implementations(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Implementation]:
    made: dict[str, Implementation] = {}

    def of(name: str) -> Implementation:
        if name not in made:
            make = {"simulator": servers.simulator, "vllm": servers.vllm}[name]
            made[name] = make(tmp_path_factory.mktemp(name))
        return made[name]

    return of


@pytest.fixture(scope="session")
def server_of(
    implementations: Callable[[str], Implementation], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Running]]:
    logs = tmp_path_factory.mktemp("logs")
    running: dict[str, Running] = {}
    with ExitStack() as stack:

        def of(name: str) -> Running:
            if name not in running:
                log = logs / f"{name}.log"
                running[name] = stack.enter_context(servers.started(implementations(name), log))
            return running[name]

        yield of


@pytest.fixture(scope="session", params=BOTH)
def implementation(request: pytest.FixtureRequest, implementations: Callable[[str], Implementation]) -> Implementation:
    return implementations(request.param)


@pytest.fixture
def server(implementation: Implementation, server_of: Callable[[str], Running]) -> Running:
    return server_of(implementation.name)


@pytest.fixture(scope="session")
def guarded_of(
    implementations: Callable[[str], Implementation], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Guarded]]:
    """One guarded server per implementation; a test may end it, then the next one gets another."""
    running: dict[str, Guarded] = {}
    with ExitStack() as stack:

        def of(name: str) -> Guarded:
            if name not in running or running[name].server.process.poll() is not None:
                root = tmp_path_factory.mktemp(f"guarded-{name}")
                running[name] = stack.enter_context(started_guarded(implementations(name), root))
            return running[name]

        yield of


@pytest.fixture
def guarded(implementation: Implementation, guarded_of: Callable[[str], Guarded]) -> Guarded:
    return guarded_of(implementation.name)
