"""One cluster and one installation of the operator for all scenarios, one namespace for each."""

import re
import secrets
from collections.abc import Iterator

import pytest

from e2e.harness.cluster import Cluster, running
from e2e.harness.images import Images
from e2e.harness.installation import Installation, installed
from e2e.harness.namespace import Namespace, namespace


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running() as found:
        yield found


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> Images:
    return Images(cluster)


@pytest.fixture(scope="session")
def operator(cluster: Cluster, images: Images) -> Iterator[Installation]:
    with installed(cluster, images.operator, f"fetcherImage.ref={images.fetcher}") as installation:
        yield installation


@pytest.fixture
def chat(request: pytest.FixtureRequest, operator: Installation, images: Images) -> Iterator[Namespace]:
    """A namespace named after the scenario."""
    words = re.sub(r"[^a-z0-9]+", "-", str(request.node.name).removeprefix("test_").lower())
    with namespace(operator.cluster, images, f"{words[:40].strip('-')}-{secrets.token_hex(2)}") as found:
        yield found
