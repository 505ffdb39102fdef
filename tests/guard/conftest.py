from pathlib import Path

import pytest

from .asgi import Pod


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)
