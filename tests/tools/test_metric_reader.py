import json

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tools.metrics.reader import family
from tools.metrics.table import Release, written

REGISTRY = CollectorRegistry()


def test_a_counter_is_read_with_the_series_that_it_has_from_the_start() -> None:
    counter = Counter("vllm:ended", "Help.", ["model_name", "engine", "why"], registry=REGISTRY)
    for why in ("stop", "length"):
        counter.labels("m", "0", why)
    assert family(counter) == {
        "metric": "vllm:ended",
        "type": "counter",
        "help": "Help.",
        "labels": ["model_name", "engine", "why"],
        "series": {"why": ["length", "stop"]},
    }


def test_a_family_without_series_has_its_labels_all_the_same() -> None:
    gauge = Gauge("vllm:adapters", "Help.", ["names"], registry=REGISTRY)
    assert family(gauge)["series"] == {"names": []}


@pytest.mark.parametrize("bounds", [(1, 2, 5), (0.5, 1.0, float("inf"))])
def test_a_histogram_is_read_with_its_bounds_but_for_infinity(bounds: tuple[float, ...]) -> None:
    histogram = Histogram("vllm:seconds", "Help.", ["model_name", "engine"], buckets=bounds, registry=None)
    assert family(histogram)["buckets"] == [bound for bound in bounds if bound != float("inf")]


def test_the_file_has_one_row_for_as_long_as_nothing_changes() -> None:
    row = {"metric": "a", "type": "gauge", "help": "h", "labels": [], "series": {}}
    table = json.loads(
        written(
            [
                Release("1", "v-1.tar.gz", "ab", [row]),
                Release("2", "v-2.tar.gz", "cd", [row]),
                Release("3", "v-3.tar.gz", "ef", [row | {"hidden": True}]),
            ]
        )
    )
    assert table["releases"][2] == {"version": "3", "metrics": 1, "archive": "v-3.tar.gz", "sha256": "ef"}
    assert table["metrics"] == [
        {"metric": "a", "since": "1", "until": "2", "type": "gauge", "help": "h", "labels": [], "series": {}},
        {"metric": "a", "since": "3", "type": "gauge", "help": "h", "labels": [], "series": {}, "hidden": True},
    ]
