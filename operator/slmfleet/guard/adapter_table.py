"""The table of adapters that a pod should have, as the operator writes it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from .adapter_files import within

MAX_TABLE = 2**20
"""Bytes."""
MAX_ADAPTERS = 1000

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,252}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,252}@[0-9a-f]{12}")
"""Neither has a character that JSON or a log would write differently."""


class Wanted(NamedTuple):
    """One adapter: where its files are, and what clients call it, if they may."""

    path: str
    alias: str | None
    leaving: bool = False
    """Whether it is about to go from the table: its clients find it elsewhere."""


Table = dict[str, Wanted]
"""By the names in the engine."""


class TableError(ValueError):
    """A table that is not taken: what is wrong with it."""


def read_table(text: bytes, roots: list[str], pod: str = "") -> tuple[Table, str]:
    """The table and the hex SHA-256 of its JSON with sorted keys and no spaces. Raises TableError.

    Every path must be below one of `roots`, with all links followed. Of the adapters under "placed", which the table
    for engines that start has, those count whose "pods" name `pod`.
    """
    try:
        body = json.loads(text)
        digest = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    except (ValueError, RecursionError) as error:
        raise TableError(f"the table is no JSON: {str(error)[:200]}") from error
    adapters = body.get("adapters") if isinstance(body, dict) else None
    if not isinstance(adapters, dict):
        raise TableError('the table is no object with the key "adapters"')
    adapters = {**adapters, **_placed(body.get("placed", {}), pod)}
    if len(adapters) > MAX_ADAPTERS:
        raise TableError(f"the table has more than {MAX_ADAPTERS} adapters")
    table = {name: _wanted(name, entry, roots) for name, entry in adapters.items()}
    aliases = [wanted.alias for wanted in table.values() if wanted.alias is not None]
    for alias in aliases:
        if aliases.count(alias) > 1:
            raise TableError(f"several adapters have the alias {alias}")
    return table, digest


def _placed(entries: object, pod: str) -> dict[str, Any]:
    if not isinstance(entries, dict):
        raise TableError('"placed" is no object')
    for name, entry in entries.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("pods"), list):
            raise TableError(f'{name[:300]!r} under "placed" has no list "pods"')
    return {name: entry for name, entry in entries.items() if pod in entry["pods"]}


def _wanted(name: str, entry: Any, roots: list[str]) -> Wanted:  # noqa: ANN401 - from JSON
    if _NAME.fullmatch(name) is None:
        raise TableError(f"{name[:300]!r} is no name of an adapter, such as legal@3f2a9c1b7d20")
    if not isinstance(entry, dict):
        raise TableError(f"{name}: its entry is no object")
    path, alias = entry.get("path"), entry.get("alias")
    if alias is not None and (not isinstance(alias, str) or _ALIAS.fullmatch(alias) is None):
        raise TableError(f"{name}: alias {str(alias)[:300]!r} is no name that clients can use")
    if not isinstance(path, str) or not path.startswith("/") or len(path) > 1024 or "\0" in path:
        raise TableError(f"{name}: path {str(path)[:300]!r} is not absolute")
    if not inside(path, roots):
        raise TableError(f"{name}: path {path} is outside of {', '.join(roots)}")
    return Wanted(path, alias, entry.get("leaving") is True)


def inside(path: str, roots: list[str]) -> bool:
    """Whether it lies below one of the roots, with all links followed."""
    try:
        return any(within(Path(path), Path(root)) for root in roots)
    except OSError:  # a loop of links
        return False
