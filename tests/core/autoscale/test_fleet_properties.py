"""Pages of a fleet's pods to Signals: what holds whatever the pages show."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from math import inf
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slmfleet.core.autoscale.fleet import FORGET_SECONDS
from slmfleet.engine.histogram import Histogram
from slmfleet.engine.page import Page

from .fleets import AMOUNTS, Fleet, amounts, page

COUNTERS = st.fixed_dictionaries(
    {
        name: st.sampled_from([0.0, 1.0, 50.0, 1e5, 1e12, 9e15])
        for name in ("prompt_tokens", "generated_tokens", "finished")
    }
)
BUCKETS = st.lists(st.sampled_from([0.0, 1.0, 100.0, 1e12]), min_size=3, max_size=3)
PODS = st.dictionaries(st.sampled_from("abc"), st.none() | st.tuples(COUNTERS, BUCKETS))


@cache
def limits() -> Mapping[str, float]:
    """What three engines may add in a second."""
    return {
        name: 3 * (2e4 if name in {"first_tokens", "late_first_tokens", "finished", "preemptions"} else 2e6)
        for name in AMOUNTS
    }


@given(st.lists(st.tuples(st.sampled_from([0.5, 2.0, 7.0, 61.0, 0.0, -1.0]), PODS), max_size=12))
def test_whatever_the_pages_show_amounts_are_never_negative_or_giant(looks: list[Any]) -> None:
    fleet = Fleet()
    for seconds, pods in looks:
        pages: dict[str, Page | None] = {}
        for name, shown in pods.items():
            if shown is None:
                pages[name] = None
                continue
            counters, buckets = shown
            counts = (buckets[0], buckets[0] + buckets[1], sum(buckets))
            pages[name] = page(**counters, first_token=Histogram((0.1, 1.0, inf), counts))
        signals = fleet.look(seconds, pending=0, **pages)
        assert 0 <= (signals.measured or 0) <= signals.reporting <= signals.ready == len(pods)
        for name, value in amounts(signals).items():
            assert 0 <= value <= limits()[name] * FORGET_SECONDS
        assert signals.late_first_tokens <= signals.first_tokens
        assert all(
            value >= 0
            for value in asdict(signals).values()
            if isinstance(value, (int, float)) and value is not signals.at
        )


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1000)), min_size=2, max_size=30))
def test_without_gaps_the_amounts_add_up_to_what_the_counters_gained(steps: list[tuple[int, int]]) -> None:
    """However the engine is restarted (3): nothing that a page showed is lost."""
    fleet, shown, gained, told = Fleet(), 0.0, 0.0, 0.0
    fleet.look(a=page(generated_tokens=0.0, prompt_tokens=0.0))
    prompts = 0.0
    for kind, amount in steps:
        restarted = kind == 3 and prompts > 0
        shown, prompts = (0.0, 0.0) if restarted else (shown, prompts)
        shown += amount
        gained += amount
        if not restarted:
            prompts += 1.0
        told += fleet.look(a=page(generated_tokens=shown, prompt_tokens=prompts)).generated_tokens
    assert told == gained
