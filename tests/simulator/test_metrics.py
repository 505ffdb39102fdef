import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from slmfleet.engine.version import EngineVersion
from slmfleet.simulator.families import one_two_five
from slmfleet.simulator.metrics import EngineMetrics

from .building import LATEST, config


def names(release: str, show_hidden: str | None = None) -> set[str]:
    version = EngineVersion.parse(release)
    page = EngineMetrics(version, config(version=version), show_hidden).render().decode()
    return {family.name for family in text_string_to_metric_families(page)}


HISTORY = [
    # family, releases that have it, releases that do not
    ("vllm:num_requests_waiting_by_reason", ["0.20.0"], ["0.19.0"]),
    ("vllm:engine_sleep_state", ["0.11.1"], ["0.11.0"]),
    ("vllm:admission_rejections", ["0.32.0"], ["0.31.0"]),
    ("vllm:request_num_preemptions", ["0.30.0"], ["0.29.0"]),
    ("vllm:time_per_output_token_seconds", ["0.11.2"], ["0.12.0", "0.15.0"]),
    ("vllm:inter_token_latency_seconds", ["0.11.0", "0.33.0"], []),
    ("vllm:gpu_cache_usage_perc", [], ["0.11.0", "0.12.0"]),
]


@pytest.mark.parametrize(("family", "present", "absent"), HISTORY)
def test_a_family_is_written_by_the_releases_that_have_it(family: str, present: list[str], absent: list[str]) -> None:
    assert all(family in names(release) for release in present)
    assert not any(family in names(release) for release in absent)


def test_hidden_families_are_shown_to_who_asks_for_the_previous_minor() -> None:
    assert "vllm:gpu_cache_usage_perc" in names("0.11.0", "0.10")
    assert "vllm:time_per_output_token_seconds" not in names("0.12.0", "0.10")


@pytest.mark.parametrize(("release", "present"), [("0.23.0", False), ("0.24.0", True)])
def test_cache_config_info_tells_the_concurrency_from_0_24(release: str, present: bool) -> None:
    version = EngineVersion.parse(release)
    page = EngineMetrics(version, config(version=version)).render().decode()
    assert ('kv_cache_max_concurrency="64.0"' in page) is present


def test_counts_go_to_series_with_model_name_and_engine() -> None:
    metrics = EngineMetrics(LATEST, config("--served-model-name", "a", "b"))
    metrics.count("generation_tokens", 5)
    assert 'vllm:generation_tokens_total{engine="0",model_name="a"} 5.0' in metrics.render().decode()


def test_a_page_of_nans_leaves_the_gauges_as_they_were() -> None:
    metrics = EngineMetrics(LATEST, config())
    metrics.state(running=3, waiting=1, kv_usage=0.5)
    families = text_string_to_metric_families(metrics.render_nan().decode())
    (sample,) = next(family.samples for family in families if family.name == "vllm:num_requests_running")
    assert math.isnan(sample.value)
    assert 'vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3-0.6B"} 3.0' in metrics.render().decode()


def test_token_histograms_reach_up_to_the_context() -> None:
    assert one_two_five(2048) == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
