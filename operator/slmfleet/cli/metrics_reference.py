"""The generated page docs/reference/engine-metrics.md: what an engine tells of itself, and by which metric."""

from typing import Final

from slmfleet.engine.metrics import PREFIX, SIGNALS, Metric, MetricTable

_INTRO: Final = """\
What an engine tells of its load and its state, and by which metric, as every release of vLLM from {oldest} to {newest}
registers it at its start. A release newer than {newest} is taken for {newest}. Every metric has the labels `model_name`
(the first served name, for adapters' requests too) and `engine` (the data-parallel rank), unless it says *no*; further
ones are named. A counter's samples end in `_total`, a histogram's in `_bucket`, `_sum` and `_count`."""
_OLD: Final = """\
Dashboards and alerts that were made for older releases use these; hidden ones are only written with
`--show-hidden-metrics-for-version`."""


def metrics_page(header: str) -> str:
    """The page."""
    table = MetricTable.load()
    oldest, newest = (".".join(map(str, version.release)) for version in (table.releases[0], table.releases[-1]))
    lines = [f"<!-- {header} -->", "", "# Engine metrics by release", "", _INTRO.format(oldest=oldest, newest=newest)]
    lines += ["", "| metric | type | releases | labels | what it tells |", "|---|---|---|---|---|"]
    present = table.for_version(table.releases[-1])
    for signal in SIGNALS:
        metric = present.tells(signal)
        assert metric is not None, f"the newest release has no {signal.names[0]}"
        cells = (f"`{metric.family}`", metric.type, _spans(table, metric.name), _labels(metric), signal.meaning)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Renamed", "", _OLD, "", "| then | releases | hidden | today |", "|---|---|---|---|"]
    for signal in SIGNALS:
        for name in signal.names[1:]:
            shown, hidden = (_spans(table, name, hidden=which) for which in (False, True))
            lines.append(f"| `{PREFIX}{name}` | {shown} | {hidden} | `{PREFIX}{signal.names[0]}` |")
    return "\n".join(lines) + "\n"


def _spans(table: MetricTable, name: str, *, hidden: bool = False) -> str:
    return ", ".join(map(str, table.spans(name, hidden=hidden)))


def _labels(metric: Metric) -> str:
    missing = [f"*no {name}*" for name in ("model_name", "engine") if name not in metric.labels]
    if len(metric.labels) > 8:
        return ", ".join([*missing, "one per setting"])
    own = [name for name in metric.labels if name not in ("model_name", "engine")]
    shown = [f"`{name}`{_values(metric.series.get(name, ()))}" for name in own]
    return ", ".join([*missing, *shown])


def _values(values: tuple[str, ...]) -> str:
    return f" ({', '.join(values)})" if values else ""
