import gzip
import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from slmfleet.engine import page as page_module
from slmfleet.engine.metrics import MetricTable
from slmfleet.engine.page import MAX_CAPACITIES, MAX_LINES, MAX_PLANS, Page
from slmfleet.engine.series import MAX_LABELS, PageError
from slmfleet.engine.version import EngineVersion
from slmfleet.simulator.metrics import EngineMetrics
from tests.simulator.building import config

from .pages import LATEST, page, reader

LOAD: dict[str, float | Sequence[float]] = {
    "num_requests_running": 3,
    "num_requests_waiting": 2,
    "num_requests_waiting_by_reason": 1,
    "kv_cache_usage_perc": 0.25,
    "num_preemptions": 4,
    "prefix_cache_queries": 1000,
    "prefix_cache_hits": 300,
    "prompt_tokens": 900,
    "prompt_tokens_cached": 250,
    "generation_tokens": 500,
    "iteration_tokens_total": (100, 40),
    "request_generation_tokens": (50, 70),
    "request_queue_time_seconds": (0.25, 0.5),
    "time_to_first_token_seconds": (0.02, 0.2, 3),
    "inter_token_latency_seconds": (0.02, 0.02, 0.2),
}
INFO = {"num_gpu_blocks": "100", "block_size": "16", "kv_cache_size_tokens": "1600"}

WHOLE = page(LOAD, info=INFO)
READER = reader()


def replaced(body: bytes, line: str, by: str) -> bytes:
    assert line.encode() in body
    return body.replace(line.encode(), by.encode())


def refused(body: bytes) -> tuple[str, str]:
    with pytest.raises(PageError) as caught:
        reader().read(body)
    return caught.value.reason, str(caught.value)


def test_a_page_tells_load_capacity_counters_and_histograms() -> None:
    read = reader().read(page(LOAD, info=INFO))
    assert (read.running, read.waiting) == (3, 2)
    assert read.waiting_by_reason == {"capacity": 1, "deferred": 1}
    assert (read.kv_usage, read.kv_capacity) == (0.25, 1600)
    assert (read.prompt_tokens, read.cached_prompt_tokens, read.generated_tokens) == (900, 250, 500)
    assert (read.prefix_queries, read.prefix_hits, read.preemptions) == (1000, 300, 4)
    assert (read.finished, read.finished_generated_tokens) == (2, 120)
    assert (read.steps, read.step_tokens) == (2, 140)
    assert (read.queued, read.queue_seconds) == (2, 0.75)
    assert (read.first_token.count, read.first_token.over(0.1)) == (3, 2)
    assert (read.token_gap.count, read.token_gap.over(0.1)) == (3, 1)


@pytest.mark.parametrize("release", MetricTable.load().releases, ids=str)
def test_every_release_tells_what_is_wanted(release: EngineVersion) -> None:
    read = reader(str(release)).read(page(LOAD, release=str(release), info=INFO))
    assert (read.running, read.kv_usage, read.kv_capacity, read.generated_tokens) == (3, 0.25, 1600, 500)
    assert read.cached_prompt_tokens == (250 if release >= EngineVersion.parse("0.16.0") else 300)
    assert bool(read.waiting_by_reason) is (release >= EngineVersion.parse("0.20.0"))


def test_data_parallel_engines_are_summed_and_their_kv_usage_is_weighted_by_capacity() -> None:
    body = page(LOAD, LOAD | {"kv_cache_usage_perc": 0.75, "num_requests_running": 1}, info=INFO)
    larger = 'kv_cache_size_tokens="4800"'
    head, tail = body.split(b"vllm:cache_config_info{", 1)
    first, second = tail.split(b'kv_cache_size_tokens="1600"', 2)[:2], tail.split(b'kv_cache_size_tokens="1600"', 2)[2]
    body = (
        head
        + b"vllm:cache_config_info{"
        + first[0]
        + b'kv_cache_size_tokens="1600"'
        + first[1]
        + larger.encode()
        + second
    )
    read = reader().read(body)
    assert (read.running, read.waiting, read.generated_tokens) == (4, 4, 1000)
    assert read.first_token.count == 6
    assert read.kv_capacity == 6400
    assert read.kv_usage == pytest.approx((0.25 * 1600 + 0.75 * 4800) / 6400)
    assert {rank: state.running for rank, state in read.engines.items()} == {"0": 3, "1": 1}


def test_aliases_of_the_model_are_not_counted_twice() -> None:
    assert reader().read(page(LOAD, names=("tiny", "tiny-alias"), info=INFO)) == reader().read(page(LOAD, info=INFO))


@pytest.mark.parametrize(
    "name", ['a"b', "a\\b", "a\nb", "a} 5 b", 'x",engine="7', "modèle", " ", 'a{le="3"}'], ids=ascii
)
def test_any_model_name_is_read_past(name: str) -> None:
    assert reader().read(page(LOAD, names=(name,), info=INFO)) == reader().read(page(LOAD, info=INFO))


@pytest.mark.parametrize(
    ("info", "tokens"),
    [
        ({"num_gpu_blocks": "100", "block_size": "16", "kv_cache_size_tokens": "1500"}, 1500),
        ({"num_gpu_blocks": "100", "block_size": "16", "kv_cache_size_tokens": "None"}, 1600),
        ({"num_gpu_blocks": "None", "block_size": "16", "kv_cache_size_tokens": "None"}, None),
        ({"num_gpu_blocks": "0", "block_size": "16", "kv_cache_size_tokens": "0"}, None),
    ],
)
def test_the_capacity_is_what_the_engine_measured_else_its_blocks_else_unknown(
    info: dict[str, str], tokens: float | None
) -> None:
    assert reader().read(page(LOAD, info=info)).kv_capacity == tokens


def test_the_usage_of_engines_without_known_capacity_is_their_mean() -> None:
    read = reader().read(page(LOAD, LOAD | {"kv_cache_usage_perc": 0.75}, info={"num_gpu_blocks": "None"}))
    assert (read.kv_capacity, read.kv_usage) == (None, 0.5)


def test_a_value_may_have_a_time_behind_it() -> None:
    line = 'vllm:num_requests_running{engine="0",model_name="tiny"} 3.0'
    assert reader().read(replaced(page(LOAD), line, line + " 1767323045000")).running == 3


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1.0", "3,0", "0x3"])
def test_what_is_no_count_is_refused_instead_of_read_as_zero(value: str) -> None:
    body = replaced(
        page(LOAD),
        'num_requests_running{engine="0",model_name="tiny"} 3.0',
        f'num_requests_running{{engine="0",model_name="tiny"}} {value}',
    )
    assert refused(body) == ("invalid", f"vllm:num_requests_running is {value}")


@pytest.mark.parametrize(
    "name",
    ["num_requests_running", "num_requests_waiting", "prompt_tokens_total", "time_to_first_token_seconds_bucket"],
)
def test_a_page_without_a_signal_is_incomplete(name: str) -> None:
    assert refused(replaced(page(LOAD), f"vllm:{name}{{", f"vllm:other_{name}{{")) == (
        "incomplete",
        f"no vllm:{name} on the page",
    )


def test_a_page_that_tells_a_signal_of_one_engine_only_is_incomplete() -> None:
    line = 'vllm:num_requests_waiting{engine="1",model_name="tiny"} 2.0\n'
    reason, _ = refused(replaced(page(LOAD, LOAD), line, ""))
    assert reason == "incomplete"


@pytest.mark.parametrize("body", [b"", b"<html>503</html>", b"up 1\n", b"\xff\x00" * 1000])
def test_what_no_engine_wrote_is_foreign(body: bytes) -> None:
    assert refused(body)[0] == "foreign"


def test_buckets_that_fall_are_refused() -> None:
    line = 'vllm:time_to_first_token_seconds_bucket{engine="0",le="2.5",model_name="tiny"} '
    reason, message = refused(replaced(page(LOAD), line + "2.0", line + "1.0"))
    assert reason == "invalid"
    assert message == "a histogram of latencies: a bucket has fewer values than the one below it"


def test_the_work_for_a_hostile_page_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    line = b'vllm:num_requests_running{engine="%d"} 1\n'
    assert refused(b"".join(line % n for n in range(MAX_LINES + 1)))[0] == "too_large"
    assert refused(b"vllm:num_requests_running{" + b"a" * (MAX_LABELS + 1) + b"} 1\n")[0] == "invalid"
    assert refused(b"\n" * (page_module.MAX_BYTES + 1))[0] == "too_large"


def test_what_is_kept_is_bounded() -> None:
    it = reader()
    lines = [line + b"\n" for line in page(LOAD).splitlines() if b"time_to_first_token_seconds_bucket" in line]
    rest = page(LOAD).replace(b"".join(lines), b"")
    for n in range(MAX_PLANS + 10):
        order = random.Random(n).sample(lines, len(lines))
        assert it.read(rest + b"".join(order)).first_token.count == 3
    assert len(it._plans) <= MAX_PLANS
    for n in range(MAX_CAPACITIES + 10):
        it.read(replaced(WHOLE, 'kv_cache_size_tokens="1600"', f'kv_cache_size_tokens="{n}"'))
    assert len(it._capacities) <= MAX_CAPACITIES


def test_engines_of_one_fleet_with_caches_of_their_own_share_what_is_kept() -> None:
    it = reader()
    for n in range(1, 20):
        body = replaced(WHOLE, 'kv_cache_size_tokens="1600"', f'kv_cache_size_tokens="{n}"')
        assert it.read(body).kv_capacity == n
    assert len(it._plans) == 1


@given(st.binary(max_size=400), st.integers(0, 60_000), st.integers(0, 400))
@example(b"} } } }  ", 0, 0)
def test_a_broken_page_is_refused_or_read_and_nothing_else(junk: bytes, place: int, cut: int) -> None:
    body = WHOLE[: place % len(WHOLE)] + junk + WHOLE[place % len(WHOLE) + cut :]
    try:
        read = READER.read(body)
    except PageError:
        return
    assert all(math.isfinite(value) and value >= 0 for value in numbers(read))


def numbers(read: Page) -> list[float]:
    found = [getattr(read, name) for name in Page.__slots__]
    return [value for value in found if isinstance(value, (int, float))] + [*read.first_token.counts]


def test_the_simulators_page_is_read_like_the_client_librarys() -> None:
    metrics = EngineMetrics(EngineVersion.parse(LATEST), config("--served-model-name", "tiny"))
    metrics.state(running=3, waiting=1, kv_usage=0.5)
    metrics.count("prompt_tokens", 7)
    metrics.observe("time_to_first_token_seconds", 0.3)
    read = reader().read(metrics.render())
    assert (read.running, read.waiting, read.kv_usage, read.prompt_tokens) == (3, 1, 0.5, 7)
    assert read.first_token.over(0.25) == 1


def test_the_numbers_of_a_page_of_the_real_vllm_are_those_that_the_client_library_reads() -> None:
    body = gzip.decompress((Path(__file__).parent / "vllm-0.32.0.prom.gz").read_bytes())
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
    read = reader().read(body)
    told = {
        "vllm:num_requests_running": read.running,
        "vllm:num_requests_waiting": read.waiting,
        "vllm:kv_cache_usage_perc": read.kv_usage,
        "vllm:prompt_tokens_total": read.prompt_tokens,
        "vllm:prompt_tokens_cached_total": read.cached_prompt_tokens,
        "vllm:generation_tokens_total": read.generated_tokens,
        "vllm:num_preemptions_total": read.preemptions,
        "vllm:prefix_cache_queries_total": read.prefix_queries,
        "vllm:prefix_cache_hits_total": read.prefix_hits,
        "vllm:iteration_tokens_total_count": read.steps,
        "vllm:iteration_tokens_total_sum": read.step_tokens,
        "vllm:request_generation_tokens_count": read.finished,
        "vllm:request_generation_tokens_sum": read.finished_generated_tokens,
        "vllm:request_queue_time_seconds_count": read.queued,
        "vllm:request_queue_time_seconds_sum": read.queue_seconds,
        "vllm:time_to_first_token_seconds_count": read.first_token.count,
        "vllm:inter_token_latency_seconds_count": read.token_gap.count,
    }
    assert told == {name: totals[name] for name in told}
    assert read.running > 0
    assert read.kv_capacity is not None
    assert sum(read.waiting_by_reason.values()) == read.waiting
