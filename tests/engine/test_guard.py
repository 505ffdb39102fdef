import json
from pathlib import Path

from slmfleet.api.guard import Guard
from slmfleet.engine import guard
from slmfleet.engine.flags import FlagTable


def test_the_sources_are_the_whole_package() -> None:
    folder = Path("operator/slmfleet/guard")
    assert dict(guard.sources()) == {path.name: path.read_text() for path in folder.glob("*.py")}


def test_the_configuration_is_in_bytes() -> None:
    written = json.loads(guard.config(Guard(max_body="1.5Mi", extra_routes=["GET /a/*"])))
    assert written == {"maxBody": 1_572_864, "extraRoutes": ["GET /a/*"], "state": guard.STATE}


def test_every_supported_release_takes_middleware_several_times() -> None:
    table = FlagTable.load()
    for release in table.releases:
        flag = table.for_version(release).find("--middleware")
        assert flag is not None
        assert flag.repeat
