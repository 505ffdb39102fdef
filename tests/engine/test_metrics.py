"""Which metric tells what, release by release; the cases were read from the releases' sources by hand."""

from typing import Any

import pytest

from slmfleet.engine import metrics
from slmfleet.engine.metrics import SIGNALS, Metric, MetricTable, Signal, replacement
from slmfleet.engine.releases import Span
from slmfleet.engine.version import EngineVersion

REAL = MetricTable.load()
GAUGE: dict[str, Any] = {"type": "gauge", "help": "h", "labels": ["model_name", "engine"]}
SMALL = MetricTable(
    {
        "releases": [{"version": f"0.{minor}.0"} for minor in (11, 12, 13)],
        "metrics": [
            {"metric": "old", "since": "0.11.0", "until": "0.11.0", **GAUGE},
            {"metric": "old", "since": "0.12.0", "until": "0.12.0", **GAUGE, "hidden": True},
            {"metric": "new", "since": "0.12.0", **GAUGE},
        ],
    }
)
SIGNAL = Signal(("new", "old"), "something")


def release(text: str) -> EngineVersion:
    return EngineVersion.parse(text)


@pytest.mark.parametrize(
    ("version", "read", "known", "told_by"),
    [
        ("0.10.2", "0.11.0", False, "old"),
        ("0.11.0", "0.11.0", True, "old"),
        ("0.11.5", "0.11.0", True, "old"),
        ("0.12.0rc1", "0.12.0", True, "new"),
        ("0.13.0.post1", "0.13.0", True, "new"),
        ("0.14.0", "0.13.0", False, "new"),
    ],
)
def test_a_release_has_the_metrics_of_the_newest_that_is_not_newer(
    version: str, read: str, known: bool, told_by: str
) -> None:
    found = SMALL.for_version(release(version))
    assert (found.release, found.known) == (read, known)
    told = found.tells(SIGNAL)
    assert told is not None
    assert told.name == told_by


def test_a_metric_that_takes_a_flag_is_found_but_tells_nothing() -> None:
    found = SMALL.for_version(release("0.12.0"))
    assert found.tells(Signal(("old",), "x")) is None
    assert found.find("vllm:old") == Metric("old", "gauge", "h", ("model_name", "engine"), hidden=True)


def test_a_metric_was_there_for_a_while_hidden_or_not() -> None:
    assert SMALL.spans("vllm:old") == (Span("0.11.0", "0.12.0"),)
    assert SMALL.spans("old", hidden=False) == (Span("0.11.0", "0.11.0"),)
    assert SMALL.spans("new", hidden=False) == (Span("0.12.0", None),)
    assert SMALL.spans("never") == ()


@pytest.mark.parametrize(
    ("name", "hidden", "shown"),
    [
        ("kv_cache_usage_perc", (), (Span("0.11.0", None),)),
        ("gpu_cache_usage_perc", (Span("0.11.0", "0.11.2"),), ()),
        ("gpu_prefix_cache_queries", (Span("0.11.0", "0.11.2"),), ()),
        ("inter_token_latency_seconds", (), (Span("0.11.0", None),)),
        ("time_per_output_token_seconds", (Span("0.12.0", "0.14.1"),), (Span("0.11.0", "0.11.2"),)),
        ("num_requests_waiting_by_reason", (), (Span("0.20.0", None),)),
        ("engine_sleep_state", (), (Span("0.11.1", None),)),
        ("admission_rejections", (), (Span("0.32.0", None),)),
        ("num_requests_swapped", (), ()),
    ],
)
def test_what_is_known_of_renames_and_additions(name: str, hidden: tuple[Span, ...], shown: tuple[Span, ...]) -> None:
    assert REAL.spans(name, hidden=True) == hidden
    assert REAL.spans(name, hidden=False) == shown


LATER = {
    "num_requests_waiting_by_reason": "0.20.0",
    "engine_sleep_state": "0.11.1",
    "admission_rejections": "0.32.0",
    "prompt_tokens_cached": "0.16.0",
}


@pytest.mark.parametrize("version", REAL.releases, ids=lambda v: ".".join(map(str, v.release)))
@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: s.names[0])
def test_every_release_tells_every_signal_by_its_first_name_once_it_is_there(
    signal: Signal, version: EngineVersion
) -> None:
    told = REAL.for_version(version).tells(signal)
    since = LATER.get(signal.names[0])
    if since is not None and version < release(since):
        assert told is None
    else:
        assert told is not None
        assert told.name == signal.names[0]


def test_counters_are_scraped_with_a_suffix() -> None:
    found = REAL.for_version(release("0.32.0"))
    assert [m.sample for s in (metrics.PREEMPTIONS, metrics.KV_USAGE) if (m := found.tells(s))] == [
        "vllm:num_preemptions_total",
        "vllm:kv_cache_usage_perc",
    ]


def test_an_old_name_has_a_replacement_and_a_present_one_has_none() -> None:
    assert replacement("vllm:gpu_cache_usage_perc") == "vllm:kv_cache_usage_perc"
    assert replacement("time_per_output_token_seconds") == "vllm:inter_token_latency_seconds"
    assert replacement("vllm:kv_cache_usage_perc") is None


def test_series_that_exist_from_the_start_and_bounds_are_those_of_the_release() -> None:
    old, new = (REAL.for_version(release(text)).find("request_success") for text in ("0.11.0", "0.17.0"))
    assert old is not None
    assert new is not None
    assert old.series == {"finished_reason": ("abort", "length", "stop")}
    assert new.series == {"finished_reason": ("abort", "error", "length", "repetition", "stop")}
    first_token = REAL.for_version(release("0.32.0")).tells(metrics.TIME_TO_FIRST_TOKEN)
    assert first_token is not None
    assert (first_token.buckets[0], first_token.buckets[-1], len(first_token.buckets)) == (0.001, 2560.0, 22)
    tokens = REAL.for_version(release("0.32.0")).find("request_prompt_tokens")
    assert tokens is not None
    assert (tokens.up_to_context, tokens.buckets) == (True, ())


@pytest.mark.parametrize(("version", "tells"), [("0.23.0", False), ("0.24.0", True)])
def test_the_concurrency_at_full_length_is_told_from_0_24_on(version: str, tells: bool) -> None:
    told = REAL.for_version(release(version)).tells(metrics.CACHE_CONFIG)
    assert told is not None
    assert ("kv_cache_max_concurrency" in told.labels) is tells
