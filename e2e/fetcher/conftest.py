"""A source of each kind, with one good adapter in it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from e2e.fetcher.runs import Place
from e2e.fetcher.servers import Buckets, Hub, Store, serving
from tests.guard.adapters import adapter

FOLDER = "legal/v7"
SCHEMES = ("hf", "s3", "gs")
Opened = Callable[..., AbstractContextManager[Place]]


@pytest.fixture
def content(tmp_path: Path) -> dict[str, bytes]:
    """The adapter's files by name."""
    folder = adapter(tmp_path / "made")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def store(content: dict[str, bytes]) -> Store:
    return Store({f"{FOLDER}/{name}": data for name, data in content.items()})


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(store: Store, tmp_path: Path) -> Opened:
    """The store behind a server of the scheme, and where to fetch it to."""

    @contextmanager
    def of(scheme: str, identity: Path | None = None, **secret: str) -> Iterator[Place]:
        with serving(Hub if scheme == "hf" else Buckets, store, identity) as address:
            endpoint = {"hf": "HF_ENDPOINT", "s3": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST"}[scheme]
            bucket = "acme/legal" if scheme == "hf" else "adapters"
            yield Place(tmp_path, f"{scheme}://{bucket}/{FOLDER}", {endpoint: address, **secret})

    return of


@pytest.fixture
def place(opened: Opened, scheme: str) -> Iterator[Place]:
    with opened(scheme) as place:
        yield place
