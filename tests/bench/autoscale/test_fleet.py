"""Requests through a simulated fleet: times, tokens, and what a look shows of them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.autoscale.fleet import Fleet, Requests, Results, Settings
from slmfleet.simulator.records import EngineModel

from .fleets import ENGINE, STATIC, made


def shared(count: int, rate: float, seed: int = 0) -> Requests:
    """Prompts that begin with one of a few texts."""
    requests = made(count, rate, seed, prompt=800.0)
    random = np.random.default_rng(seed + 1)
    blocks = requests.prompt // 64
    texts = random.integers(0, 5, count)
    hashes = np.concatenate([1000 * text + np.arange(n) for text, n in zip(texts, blocks, strict=True)])
    return replace(requests, hashes=hashes, hashes_end=np.cumsum(blocks), hash_tokens=64)


def run(requests: Requests, fleet_settings: Settings, engine: EngineModel = ENGINE) -> Results:
    fleet = Fleet(requests, engine, fleet_settings)
    fleet.advance(1e7)
    assert fleet.done
    return fleet.results()


@pytest.mark.parametrize("router", ["early", "late"])
@pytest.mark.parametrize("rate", [2.0, 8.0])
@pytest.mark.parametrize("prefix", [False, True])
def test_skipping_events_changes_nothing(router: Any, rate: float, prefix: bool) -> None:
    requests = shared(1500, rate) if prefix else made(1500, rate)
    engine = replace(ENGINE, prefix_blocks=4) if prefix else ENGINE
    static = replace(STATIC, router=router)
    skipped, stepped = run(requests, static, engine), run(requests, replace(static, event_skipping=False), engine)
    assert skipped.steps == stepped.steps
    assert skipped.preemptions == stepped.preemptions
    assert np.array_equal(skipped.cached, stepped.cached)
    assert np.max(np.abs(skipped.ttft - stepped.ttft)) < 1e-9
    assert np.max(np.abs(skipped.finish - stepped.finish)) < 1e-9
    assert rate == 2.0 or skipped.preemptions > 0
    assert (skipped.cached.sum() > 0) == prefix


def test_what_is_seen_every_second_is_the_same_with_and_without_skipping() -> None:
    requests = made(600, 5.0)
    fleets = [Fleet(requests, ENGINE, replace(STATIC, router="late", event_skipping=skip)) for skip in (True, False)]
    while not fleets[0].done:
        looks = []
        for fleet in fleets:
            fleet.advance(fleet.now + 1)
            looks.append(fleet.look())
        assert looks[0].signals == looks[1].signals
        assert np.array_equal(looks[0].kv_usage, looks[1].kv_usage)


def test_one_request_takes_its_prefill_and_its_decode_steps() -> None:
    requests = Requests(np.array([2.0]), np.array([700]), np.array([3]))
    results = run(requests, STATIC)
    chunks = [ENGINE.a + ENGINE.p * 512 + ENGINE.d, ENGINE.a + ENGINE.p * 188 + ENGINE.d + ENGINE.kappa * 512]
    decodes = [ENGINE.a + ENGINE.d + ENGINE.kappa * tokens for tokens in (700, 701)]
    assert results.ttft[0] == pytest.approx(sum(chunks))
    assert results.finish[0] == pytest.approx(2.0 + sum(chunks + decodes))
    assert results.tpot[0] == pytest.approx(sum(decodes) / 2)
    assert results.steps == 4


def test_the_same_seed_gives_the_same_run_and_another_other_start_times() -> None:
    def pods(seed: int) -> np.ndarray[Any, Any]:
        fleet = Fleet(made(200, 5.0), ENGINE, replace(STATIC, quota=8), seed)
        fleet.scale(8)
        fleet.advance(1e4)
        return fleet.results().pods

    assert np.array_equal(pods(1), pods(1))
    assert not np.array_equal(pods(1), pods(2))


@st.composite
def loads(draw: st.DrawFn) -> Requests:
    count = draw(st.integers(1, 60))
    gaps = draw(st.lists(st.sampled_from([0.0, 0.01, 0.3, 4.0]), min_size=count, max_size=count))
    prompt = draw(st.lists(st.integers(1, 900), min_size=count, max_size=count))
    output = draw(st.lists(st.integers(1, 120), min_size=count, max_size=count))
    requests = Requests(np.cumsum(gaps), np.array(prompt), np.array(output))
    if draw(st.booleans()):
        blocks = requests.prompt // 32
        hashes = np.concatenate([np.arange(n) + 100 * (number % 3) for number, n in enumerate(blocks)])
        requests = replace(requests, hashes=hashes, hashes_end=np.cumsum(blocks), hash_tokens=32)
    return requests


@given(loads(), st.sampled_from(["early", "late"]), st.lists(st.integers(0, 4), max_size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_request_ends_once_with_its_tokens_whatever_the_replicas_do(
    requests: Requests, router: Any, replicas: list[int]
) -> None:
    engine = replace(ENGINE, num_blocks=80, max_num_seqs=6, max_num_batched_tokens=128, prefix_blocks=2)
    fleet = Fleet(requests, engine, Settings(router=router, quota=4, start_p50=3.0, start_p90=5.0, drain_timeout=2.0))
    for count in [*replicas, 2]:
        for _ in range(3):
            fleet.advance(fleet.now + 1)
            signals = fleet.look().signals
            assert 0.0 <= signals.kv_tokens <= signals.kv_capacity
            assert signals.max_kv_usage <= 1.0
            assert signals.running <= 6 * signals.reporting
            assert signals.late_tokens <= signals.token_gaps <= signals.generated_tokens
        fleet.scale(count)
    while not fleet.done:
        fleet.advance(fleet.now + 1)
        assert fleet.now < 1e5
    results = fleet.results()
    finished = np.isfinite(results.finish)
    assert np.array_equal(finished, ~results.failed)
    assert np.all(results.ttft[finished] > 0.0)
    assert np.all(results.tpot[finished & (requests.output > 1)] >= engine.a - 1e-12)
    assert np.all(results.cached < requests.prompt)


@given(loads(), st.sampled_from(["early", "late"]))
@settings(max_examples=40, deadline=None)
def test_what_every_look_counts_adds_up(requests: Requests, router: Any) -> None:
    engine = replace(ENGINE, num_blocks=80, max_num_seqs=6, max_num_batched_tokens=128, prefix_blocks=2)
    fleet = Fleet(
        replace(requests, arrival=requests.arrival + 0.5), engine, Settings(router=router, replicas=2, quota=2)
    )
    looks = [fleet.look().signals]
    while not fleet.done:
        fleet.advance(fleet.now + 1)
        looks.append(fleet.look().signals)
    total = {name: sum(getattr(look, name) for look in looks) for name in ("first_tokens", "finished", "prompt_tokens")}
    assert total == {"first_tokens": len(requests), "finished": len(requests), "prompt_tokens": requests.prompt.sum()}
    tokens = requests.output.sum()
    assert sum(look.generated_tokens for look in looks) == tokens
    assert sum(look.finished_generated_tokens for look in looks) == tokens
    assert sum(look.token_gaps for look in looks) == tokens - len(requests)
    results = fleet.results()
    assert sum(look.cached_prompt_tokens for look in looks) == results.cached.sum()
    assert sum(look.preemptions for look in looks) == results.preemptions
    assert sum(look.late_first_tokens for look in looks) == np.count_nonzero(results.ttft > 2.0)


def test_a_late_router_keeps_those_in_time_who_can_be() -> None:
    overload = made(3000, 12.0)
    in_time = {
        router: np.mean(run(overload, replace(STATIC, router=router)).ttft < STATIC.ttft_objective)
        for router in ("early", "late")
    }
    assert in_time["early"] < 0.2
    assert in_time["late"] > 0.4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_blocks": 10}, "do not fit a KV cache of 160 tokens"),
        ({"max_num_batched_tokens": 8}, "is below max_num_seqs"),
        ({"a": 0.0}, "must be above 0"),
    ],
)
def test_what_could_never_run_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Fleet(made(50, 1.0), replace(ENGINE, **change), STATIC)
