from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.autoscale.fleet import (
    CrashLoop,
    Fault,
    Fleet,
    Hang,
    Quota,
    Requests,
    Results,
    ScrapeOutage,
    Settings,
    SlowStart,
)
from slmfleet.simulator.records import EngineModel

ENGINE = EngineModel(num_blocks=400, a=0.05, p=2e-4, d=1e-4, kappa=2e-6, max_num_seqs=16, max_num_batched_tokens=512)
STATIC = Settings(replicas=3, quota=3, ttft_objective=1.0, itl_objective=0.0600001)


def made(count: int, rate: float, seed: int = 0, prompt: float = 400.0, output: float = 60.0) -> Requests:
    random = np.random.default_rng(seed)
    return Requests(
        np.cumsum(random.exponential(1 / rate, count)),
        np.clip(random.lognormal(np.log(prompt), 0.8, count), 1, 3000).astype(np.int64),
        np.clip(random.lognormal(np.log(output), 0.9, count), 1, 1000).astype(np.int64),
    )


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


def test_start_times_have_the_given_quantiles() -> None:
    fleet = Fleet(made(10, 1.0), ENGINE, Settings(replicas=0, quota=300, start_p50=110.0, start_p90=180.0))
    fleet.scale(300)
    fleet.advance(2000.0)
    pods = fleet.results().pods
    assert np.quantile(pods[:, 1] - pods[:, 0], [0.5, 0.9]) == pytest.approx([110.0, 180.0], rel=0.1)


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


def drained(settings_: Settings, seconds: float = 400.0) -> tuple[Fleet, Results]:
    """Three pods under load, of which two are taken away after 20 s."""
    fleet = Fleet(made(400, 4.0), ENGINE, settings_)
    fleet.advance(20.0)
    fleet.scale(1)
    fleet.advance(seconds)
    return fleet, fleet.results()


def test_a_drained_pod_answers_what_it_has_and_is_paid_until_then() -> None:
    fleet, results = drained(STATIC)
    assert (fleet.asked, fleet.ready) == (1, 1)
    assert not results.failed.any()
    gone = np.sort(results.pods[:, 2])
    assert 20.0 < gone[0] <= gone[1] < 100.0
    assert gone[2] == np.inf
    assert results.gpu_seconds(10.0, 200.0) == pytest.approx(190.0 + (gone[0] - 10.0) + (gone[1] - 10.0))


def test_what_still_runs_at_the_drain_timeout_fails() -> None:
    _, results = drained(replace(STATIC, drain_timeout=1.0), 5000.0)
    assert 0 < results.failed.sum() < 33
    assert np.sort(results.pods[:, 2])[:2] == pytest.approx([21.0, 21.0])
    assert not np.isfinite(results.finish[results.failed]).any()


def test_scaling_up_takes_draining_pods_back_only_where_that_is_possible() -> None:
    for put_back, ready in ((True, 3), (False, 1)):
        fleet = Fleet(made(400, 4.0), ENGINE, replace(STATIC, put_back=put_back, quota=9))
        fleet.advance(20.0)
        fleet.scale(1)
        fleet.scale(3)
        assert (fleet.asked, fleet.ready) == (3, ready)


def test_fewer_replicas_take_those_without_a_gpu_first_then_booting_then_idle_ones() -> None:
    fleet = Fleet(made(50, 0.2), ENGINE, Settings(replicas=2, quota=5, faults=(Quota(0.0, 1e6, 4),)))
    fleet.advance(9.0)
    fleet.scale(5)
    assert (fleet.ready, fleet.asked, fleet.unschedulable) == (2, 5, 1)
    for desired, unschedulable, ready in ((4, 0, 2), (3, 0, 2), (2, 0, 2), (1, 0, 1)):
        fleet.scale(desired)
        assert (fleet.asked, fleet.unschedulable, fleet.ready) == (desired, unschedulable, ready)


def faulty(*faults: Fault, **changes: Any) -> Fleet:
    fields = {"replicas": 2, "quota": 6, "start_p50": 10.0, "start_p90": 10.0} | changes
    return Fleet(made(2000, 3.0), ENGINE, Settings(faults=faults, **fields))


def test_pods_beyond_the_quota_wait_cost_nothing_and_start_when_it_ends() -> None:
    fleet = faulty(Quota(0.0, 50.0, 3))
    fleet.advance(5.0)
    fleet.scale(5)
    fleet.advance(49.0)
    assert (fleet.ready, fleet.unschedulable) == (3, 2)
    fleet.advance(61.0)
    assert (fleet.ready, fleet.unschedulable) == (5, 0)
    assert fleet.results().gpu_seconds(0.0, 50.0) == pytest.approx(2 * 50.0 + 45.0)


def test_a_crash_looping_pod_is_asked_for_and_paid_but_neither_ready_nor_pending() -> None:
    fleet = faulty(CrashLoop(0.0, 100.0))
    fleet.advance(1.0)
    fleet.scale(4)
    fleet.advance(6.0)
    assert fleet.look().signals.pending == 2
    fleet.advance(20.0)
    assert (fleet.look().signals.pending, fleet.ready, fleet.asked) == (0, 3, 4)
    fleet.advance(112.0)
    assert fleet.ready == 4


def test_slow_starts_take_their_factor() -> None:
    fleet = faulty(SlowStart(0.0, 100.0, 3.0))
    fleet.advance(1.0)
    fleet.scale(3)
    fleet.advance(30.0)
    assert fleet.ready == 2
    fleet.advance(31.5)
    assert fleet.ready == 3


def test_who_cannot_be_scraped_is_missing_and_its_amounts_are_not_made_up() -> None:
    fleet = faulty(ScrapeOutage(10.5, 20.5, 0.5), replicas=6)
    reporting, measured = {}, {}
    for second in range(1, 25):
        fleet.advance(float(second))
        signals = fleet.look().signals
        assert (signals.ready, len(fleet.look().running)) == (6, signals.reporting)
        fleet.look()
        reporting[second], measured[second] = signals.reporting, signals.measured
    assert reporting[10] == reporting[21] == 6
    assert 0 < reporting[15] < 6
    assert measured[21] == reporting[20] == reporting[15]


def test_a_hung_pod_stays_ready_until_it_is_replaced_and_its_requests_fail() -> None:
    fleet = faulty(Hang(20.0, 60.0))
    fleet.advance(40.0)
    assert fleet.look().signals.hung == 0
    fleet.advance(55.0)
    signals = fleet.look().signals
    assert (signals.ready, signals.hung) == (2, 1)
    fleet.advance(61.0)
    assert (fleet.ready, fleet.asked) == (1, 2)
    fleet.advance(71.0)
    assert fleet.ready == 2
    assert fleet.results().failed.sum() > 0


def test_a_look_is_as_old_as_its_lag() -> None:
    fleet = faulty()
    seen = []
    for second in range(1, 31):
        fleet.advance(float(second))
        seen.append(fleet.look(15.0).signals.at)
    assert seen == [1.0] * 15 + [float(second) for second in range(1, 16)]


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
