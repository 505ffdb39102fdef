"""Read the HTTP routes of every supported vLLM release and write tests/guard/routes.json: `python -m tools.routes`.

The source distributions are those that lie in the cache (`~/.cache/slmfleet/flags`). Paths stand as literals in
decorators (`@router.post("/v1/completions")`) and in calls (`router.add_api_route("/health", ...)`).
"""

import ast
import json
import os
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TABLE: Final = Path(__file__).parents[1] / "tests" / "guard" / "routes.json"
_METHODS: Final = {"get", "post", "put", "delete", "patch", "head", "options", "websocket"}
_CALLS: Final = {"add_api_route", "add_route", "add_websocket_route", "add_api_websocket_route", "Mount"}
_NAME: Final = re.compile(r"vllm-(\d+)\.(\d+)\.(\d+)\.tar\.gz")

# Not in vLLM's own source: what its hosting library for SageMaker and FastAPI itself add to the server.
OF_LIBRARIES: Final = [
    ("POST", "/adapters"),
    ("DELETE", "/adapters/{adapter_name}"),
    ("GET", "/docs"),
    ("GET", "/docs/oauth2-redirect"),
    ("GET", "/redoc"),
    ("GET", "/openapi.json"),
]

Route = tuple[str, str]


def routes_of(source: str) -> Iterator[Route]:
    """Method ("ANY" where a call names none) and path of each route in a module."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        path, name = node.args[0], getattr(node.func, "attr", getattr(node.func, "id", ""))
        if not isinstance(path, ast.Constant) or not isinstance(path.value, str) or not path.value.startswith("/"):
            continue
        owner = ast.unparse(node.func).rpartition(".")[0]
        if name in _METHODS and owner.endswith(("router", "app")):
            yield name.upper(), path.value
        elif name in _CALLS:
            methods = [keyword.value for keyword in node.keywords if keyword.arg == "methods"]
            for method in ast.literal_eval(methods[0]) if methods else ["ANY"]:
                yield method, path.value


def read(archive: Path) -> set[Route]:
    """The routes of a source distribution."""
    found: set[Route] = set()
    with tarfile.open(archive) as files:
        for member in files:
            if "/vllm/" in member.name and "entrypoints" in member.name and member.name.endswith(".py"):
                file = files.extractfile(member)
                found |= set(routes_of(file.read().decode())) if file else set()
    return found


def main() -> int:
    """Write the table: one row per route with the first and the last release that has it."""
    folder = Path(os.environ.get("SLMFLEET_CACHE", Path.home() / ".cache" / "slmfleet")) / "flags"
    archives = {tuple(map(int, m.groups())): path for path in folder.glob("*") if (m := _NAME.fullmatch(path.name))}
    spans: dict[Route, list[str]] = {route: [] for route in OF_LIBRARIES}
    for version in sorted(archives):
        for route in sorted(read(archives[version])):
            spans.setdefault(route, []).append(".".join(map(str, version)))
    releases = [".".join(map(str, version)) for version in sorted(archives)]
    rows = [
        {"method": method, "path": path, "since": (seen or releases)[0], "until": (seen or releases)[-1]}
        for (method, path), seen in sorted(spans.items(), key=lambda item: (item[0][1], item[0][0]))
    ]
    lines = ",\n    ".join(json.dumps(row) for row in rows)
    text = f'{{\n  "releases": {json.dumps(releases)},\n  "routes": [\n    {lines}\n  ]\n}}\n'
    TABLE.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(rows)} routes of {len(releases)} releases\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
