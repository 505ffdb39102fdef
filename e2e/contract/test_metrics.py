"""The metrics page: what slmfleet reads must be in both, and the simulator must not invent."""

from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from e2e.contract.servers import Running

ENGINE = {"model_name", "engine"}
RELIED_ON: dict[str, tuple[str, set[str]]] = {
    # family -> type and labels
    "vllm:num_requests_running": ("gauge", ENGINE),
    "vllm:num_requests_waiting": ("gauge", ENGINE),
    "vllm:num_requests_waiting_by_reason": ("gauge", ENGINE | {"reason"}),
    "vllm:kv_cache_usage_perc": ("gauge", ENGINE),
    "vllm:engine_sleep_state": ("gauge", ENGINE | {"sleep_state"}),
    "vllm:num_preemptions": ("counter", ENGINE),
    "vllm:prefix_cache_queries": ("counter", ENGINE),
    "vllm:prefix_cache_hits": ("counter", ENGINE),
    "vllm:prompt_tokens": ("counter", ENGINE),
    "vllm:generation_tokens": ("counter", ENGINE),
    "vllm:request_success": ("counter", ENGINE | {"finished_reason"}),
    "vllm:admission_rejections": ("counter", {"model_name", "reason"}),
    "vllm:iteration_tokens_total": ("histogram", ENGINE),
    "vllm:time_to_first_token_seconds": ("histogram", ENGINE),
    "vllm:inter_token_latency_seconds": ("histogram", ENGINE),
    "vllm:e2e_request_latency_seconds": ("histogram", ENGINE),
    "vllm:request_queue_time_seconds": ("histogram", ENGINE),
    "vllm:request_prompt_tokens": ("histogram", ENGINE),
    "vllm:request_generation_tokens": ("histogram", ENGINE),
}
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


def test_what_slmfleet_relies_on_is_there_with_its_labels(server: Running) -> None:
    found = families(server)
    assert {name: (found[name][0], set(found[name][1])) for name in RELIED_ON if name in found} == RELIED_ON


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
