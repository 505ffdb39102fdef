"""The families of all releases, joined where nothing changed, and the file that they are kept in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tools.flags.table import joined, line, lines

Row = dict[str, Any]

SCHEMA: Final = "slmfleet-metrics/1"
ABOUT: Final = (
    "The Prometheus families of vLLM's server, without the prefix vllm: and the suffixes of samples, read by "
    "tools/metrics (make metrics) from the logger that each release builds itself; do not edit. A row holds from "
    "`since` to `until`, both included; without `until` the newest release below still has it. `series`: the values of "
    "labels besides model_name and engine that have a series from the start. `hidden`: only with "
    "--show-hidden-metrics-for-version. `buckets`: upper bounds, or context: 1-2-5 steps up to the model's length. Not "
    "here: what a server writes only with speculative decoding, a KV connector or another part that is configured."
)


@dataclass(frozen=True)
class Release:
    """What was read from one archive."""

    version: str
    archive: str
    sha256: str
    families: Sequence[Row]


def written(releases: Sequence[Release]) -> str:
    """The data file: JSON with one release and one row per line, so that a diff shows what changed."""
    rows = joined([(r.version, {row["metric"]: row for row in r.families}) for r in releases], "metric")
    heads = [
        {"version": r.version, "metrics": len(r.families), "archive": r.archive, "sha256": r.sha256} for r in releases
    ]
    return (
        f'{{\n"schema": {line(SCHEMA)},\n"about": {line(ABOUT)},\n'
        f'"releases": [\n{lines(heads)}\n],\n"metrics": [\n{lines(rows)}\n]\n}}\n'
    )
