import json
from pathlib import Path

from slmfleet.api.guard import Guard
from slmfleet.engine import guard


def test_the_sources_are_the_whole_package() -> None:
    folder = Path("operator/slmfleet/guard")
    assert dict(guard.sources()) == {path.name: path.read_text() for path in folder.glob("*.py")}


def test_the_configuration_is_in_bytes() -> None:
    written = json.loads(guard.config(Guard(max_body="1.5Mi", extra_routes=["GET /a/*"])))
    assert written == {"maxBody": 1_572_864, "extraRoutes": ["GET /a/*"], "state": guard.STATE}


def test_every_supported_release_takes_middleware() -> None:
    table = json.loads(Path("operator/slmfleet/engine/flags.json").read_text())
    (row,) = [row for row in table["flags"] if row["flag"] == "--middleware"]
    assert (row["since"], row.get("until"), row["repeat"]) == (None, None, True)
