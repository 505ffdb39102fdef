"""The rows of all releases, joined where nothing changed, and the file that they are kept in."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Row = dict[str, Any]

SCHEMA: Final = "slmfleet-flags/2"
ABOUT: Final = (
    "The options of `python -m vllm.entrypoints.openai.api_server`, read by tools/flags (make flags) from the parser "
    "that each release builds itself, as the platforms cpu, cuda and rocm; do not edit. Defaults and choices on which "
    "these platforms differ are left out. A row holds from `since` to `until`, both included; without `until` the "
    "newest release below still has it. `values` are names that the parser lets pass and vLLM checks later."
)


@dataclass(frozen=True)
class Release:
    """What was read from one archive."""

    version: str
    archive: str
    sha256: str
    options: Sequence[Row] = ()
    values: Mapping[str, Sequence[Any]] | None = None
    """Option -> what vLLM's registries know for it, for options without choices."""
    problem: str | None = None
    """Why the options could not be read."""


def agreed(platforms: Sequence[Sequence[Row]]) -> list[Row]:
    """The options of a release that every platform reports, without the choices and defaults on which they differ."""
    first, *others = ({row["flag"]: row for row in rows} for rows in platforms)
    if any(other.keys() != first.keys() for other in others):
        names = sorted({*first}.symmetric_difference(*others))
        raise ValueError(f"not an option on every platform: {', '.join(names)}")
    kept = []
    for flag, row in first.items():
        alike = {key: value for key, value in row.items() if all(other[flag].get(key) == value for other in others)}
        differing = (row.keys() | {key for other in others for key in other[flag]}) - alike.keys()
        if not differing <= {"choices", "default"}:
            raise ValueError(f"{flag} differs between platforms: {', '.join(sorted(differing))}")
        kept.append(alike)
    return kept


def joined(releases: Sequence[tuple[str, Mapping[str, Row]]], key: str = "flag") -> list[Row]:
    """Rows with the releases that each holds for, from (release, name -> row), oldest first; `key` holds the name."""
    rows: list[Row] = []
    for name in sorted({name for _, known in releases for name in known}):
        start: str | None = None
        for at, (version, known) in enumerate(releases):
            row = known.get(name)
            if row is None:
                continue
            start = start or version
            last = at + 1 == len(releases)
            if last or releases[at + 1][1].get(name) != row:
                rows.append({key: name, "since": start} | ({} if last else {"until": version}) | row)
                start = None
    return rows


def written(releases: Sequence[Release]) -> str:
    """The data file: JSON with one release and one row per line, so that a diff shows what changed."""
    options = [(release.version, {row["flag"]: row for row in release.options}) for release in releases]
    values = [(release.version, _unlisted(release)) for release in releases]
    return (
        f'{{\n"schema": {line(SCHEMA)},\n"about": {line(ABOUT)},\n'
        f'"releases": [\n{lines(map(_head, releases))}\n],\n'
        f'"flags": [\n{lines(joined(options))}\n],\n"values": [\n{lines(joined(values))}\n]\n}}\n'
    )


def _unlisted(release: Release) -> dict[str, Row]:
    """The registries' values of options whose choices do not say the same."""
    listed = {row["flag"] for row in release.options if "choices" in row}
    return {flag: {"values": list(found)} for flag, found in (release.values or {}).items() if flag not in listed}


def _head(release: Release) -> Row:
    head = {"version": release.version, "options": len(release.options)}
    head |= {"archive": release.archive, "sha256": release.sha256}
    return head | ({"incomplete": release.problem} if release.problem else {})


def lines(values: Iterable[Any]) -> str:
    """The items of a JSON array, one per line."""
    return ",\n".join(map(line, values))


def line(value: Any) -> str:  # noqa: ANN401 - JSON
    """A value on one line."""
    return json.dumps(value, ensure_ascii=False)
