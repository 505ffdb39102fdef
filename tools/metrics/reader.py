"""Prints the Prometheus families that the vLLM which this interpreter imports writes, as JSON in the last line.

Runs inside vLLM's environment: standard library only, and prometheus_client, which vLLM itself brings. It builds the
logger of a server twice, since some histograms reach up to the model's context, and once more with hidden metrics.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Final

from tools.flags.reader import pretend

Row = dict[str, Any]

PREFIX: Final = "vllm:"
ENGINE_LABELS: Final = ("model_name", "engine")
CONTEXTS: Final = (2048, 8192)
INFO: Final = "cache_config_info"


class Config:
    """A configuration in which nothing is set but what is given: the server of a plain `vllm serve` with adapters."""

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - whatever vLLM keeps there
        self.__dict__.update(given)

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def configuration(max_model_len: int, *, hidden: bool) -> Config:
    """What the logger reads of a VllmConfig."""
    return Config(
        model_config=Config(served_model_name="model", max_model_len=max_model_len),
        observability_config=Config(show_hidden_metrics=hidden),
        lora_config=Config(max_loras=1),
        cache_config=import_module("vllm.config").CacheConfig(),
    )


def families(max_model_len: int, *, hidden: bool) -> dict[str, Row]:
    """Name -> row of every family that a server registers at its start."""
    registry = import_module("prometheus_client").REGISTRY
    others = set(registry._collector_to_names)  # noqa: SLF001 - the client library has no public list
    config = configuration(max_model_len, hidden=hidden)
    logger = import_module("vllm.v1.metrics.loggers").PrometheusStatLogger(config, [0])
    logger.log_engine_initialized()
    ours = [metric for metric in registry._collector_to_names if metric not in others]  # noqa: SLF001
    found = {row["metric"]: row for row in map(family, ours)}
    if any(not name.startswith(PREFIX) for name in found):
        raise ValueError(f"not of vLLM: {sorted(found)}")
    return {name.removeprefix(PREFIX): row | {"metric": name.removeprefix(PREFIX)} for name, row in found.items()}


def family(metric: Any) -> Row:  # noqa: ANN401 - a collector
    """One collector of the client library as a row."""
    labels = list(metric._labelnames)  # noqa: SLF001 - as above
    row = {"metric": metric._name, "type": metric._type, "help": metric._documentation, "labels": labels}  # noqa: SLF001
    if metric._type == "histogram":  # noqa: SLF001
        row["buckets"] = [bound for bound in metric._kwargs["buckets"] if bound != float("inf")]  # noqa: SLF001
    return row | {"series": series(metric, [label for label in labels if label not in ENGINE_LABELS])}


def series(metric: Any, labels: Iterable[str]) -> Mapping[str, list[str]]:  # noqa: ANN401 - a collector
    """The values of the further labels that have a series from the start on."""
    samples = [sample for described in metric.collect() for sample in described.samples]
    return {label: sorted({sample.labels[label] for sample in samples if label in sample.labels}) for label in labels}


def release() -> list[Row]:
    """Every family; `hidden` ones are only written with --show-hidden-metrics-for-version."""
    small, large, all_ = (
        families(CONTEXTS[0], hidden=False),
        families(CONTEXTS[1], hidden=False),
        families(CONTEXTS[0], hidden=True),
    )
    rows = []
    for name, row in sorted(all_.items()):
        up_to_context = name in large and large[name].get("buckets") != small[name].get("buckets")
        marks = {"buckets": "context"} if up_to_context else {}
        rows.append(row | marks | ({} if name in small else {"hidden": True}))
    return rows


def main() -> None:
    """One release, on a CPU: the families are the same everywhere."""
    pretend("cpu")
    sys.stdout.write(f"\n{json.dumps(release())}\n")


if __name__ == "__main__":
    main()
