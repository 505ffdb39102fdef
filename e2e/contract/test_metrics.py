"""The metrics page: what slmfleet reads must be in both, and the simulator must not invent."""

from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from e2e.contract.servers import Running
from slmfleet.engine.metrics import ADAPTERS, SIGNALS, MetricTable
from slmfleet.engine.page import PageReader
from slmfleet.engine.version import EngineVersion

METRICS = MetricTable.load().for_version(EngineVersion.parse("0.32.0"))

CACHE_CONFIG = {"engine", "block_size", "num_gpu_blocks", "kv_cache_size_tokens", "kv_cache_max_concurrency"}


def families(server: Running) -> dict[str, tuple[str, frozenset[str], tuple[str, ...]]]:
    """Type, label names and histogram bounds of every vllm: family."""
    found = {}
    for family in text_string_to_metric_families(server.get("/metrics").body.decode()):
        if family.name.startswith("vllm:") and not family.name.endswith("_created"):
            labels = frozenset(name for sample in family.samples for name in sample.labels) - {"le"}
            bounds = tuple(sample.labels["le"] for sample in family.samples if "le" in sample.labels)
            found[family.name] = (family.type, labels, bounds)
    return found


def values(server: Running, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The samples of a name by their labels."""
    page = text_string_to_metric_families(server.get("/metrics").body.decode())
    samples = (sample for family in page for sample in family.samples)
    return {tuple(sorted(sample.labels.items())): sample.value for sample in samples if sample.name == name}


def test_every_signal_is_told_with_the_labels_of_the_table(server: Running) -> None:
    found = families(server)
    told = [METRICS.tells(signal) for signal in SIGNALS if signal is not ADAPTERS]  # the server has no adapters
    expected = {metric.family: (metric.type, frozenset(metric.labels)) for metric in told if metric is not None}
    assert len(expected) == len(SIGNALS) - 1
    assert {name: found[name][:2] for name in expected if name in found} == expected


@pytest.mark.vllm
def test_the_table_has_exactly_what_a_server_writes(server_of: Callable[[str], Running]) -> None:
    found = families(server_of("vllm"))
    table = {metric.family: metric for metric in METRICS if not metric.hidden}
    assert found.keys() == table.keys() - {"vllm:lora_requests_info"}
    for name, (kind, labels, bounds) in found.items():
        metric = table[name]
        assert (kind, labels) == (metric.type, frozenset(metric.labels)), name
        if metric.buckets:
            assert bounds == (*map(str, metric.buckets), "+Inf"), name
    for name in found:
        for label, values_ in table[name].series.items():
            if name != "vllm:cache_config_info":
                assert {dict(k)[label] for k in values(server_of("vllm"), table[name].sample)} == set(values_)


def test_cache_config_info_tells_the_capacity_and_no_model_name(server: Running) -> None:
    ((labels, value),) = values(server, "vllm:cache_config_info").items()
    names = {name for name, _ in labels}
    assert value == 1.0
    assert names >= CACHE_CONFIG
    assert "model_name" not in names


@pytest.mark.vllm
def test_the_simulator_invents_no_family_label_or_bucket(server_of: Callable[[str], Running]) -> None:
    simulated, real = families(server_of("simulator")), families(server_of("vllm"))
    assert simulated == {name: real.get(name) for name in simulated}


def test_model_name_is_the_first_served_name(server: Running) -> None:
    (labels,) = values(server, "vllm:num_requests_running")
    assert labels == (("engine", "0"), ("model_name", "tiny"))


def test_a_finished_request_is_counted_once_with_its_tokens(server: Running) -> None:
    names = ("vllm:request_generation_tokens_sum", "vllm:e2e_request_latency_seconds_count")
    before = [sum(values(server, name).values()) for name in names]
    server.post("/v1/completions", {"model": "tiny", "prompt": [1, 2], "max_tokens": 5, "ignore_eos": True})
    after = [sum(values(server, name).values()) for name in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [5.0, 1.0]


def test_the_page_is_in_prometheus_text_format(server: Running) -> None:
    assert server.get("/metrics").kind == "text/plain; version=1.0.0; charset=utf-8"


def test_every_finish_reason_has_a_series_from_the_start(server: Running) -> None:
    reasons = {dict(labels)["finished_reason"] for labels in values(server, "vllm:request_success_total")}
    assert reasons == {"stop", "length", "abort", "error", "repetition"}


def test_the_page_reader_finds_everything_on_the_page(server: Running) -> None:
    before = PageReader(METRICS).read(server.get("/metrics").body)
    server.post("/v1/completions", {"model": "tiny", "prompt": "hello", "max_tokens": 5, "ignore_eos": True})
    after = PageReader(METRICS).read(server.get("/metrics").body)
    assert (after.finished - before.finished, after.first_token.count - before.first_token.count) == (1, 1)
    assert after.finished_generated_tokens - before.finished_generated_tokens == 5
    assert after.token_gap.count - before.token_gap.count == 4
    assert after.steps > before.steps
    assert after.prompt_tokens > before.prompt_tokens
    assert (after.kv_capacity or 0) > 0
    assert after.kv_usage is not None
