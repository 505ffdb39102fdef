from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.api.cold_start import ColdStartStatus
from slmfleet.core.autoscale.coldstart import ENOUGH, KEPT, PRIOR_P50, PRIOR_P90, Ledger, Start, quantile, start_of

from .pods import pod, started


def ledger(*totals: float, before: ColdStartStatus | None = None, template: str = "t1") -> Ledger:
    """After starts that were seen to happen."""
    made = Ledger(before)
    made.see([])
    for place, total in enumerate(totals):
        made.see([started(f"{template}-{place}", total, at=100.0 * place, labels={"pod-template-hash": template})])
    return made


def test_a_start_is_told_by_phase() -> None:
    assert start_of(pod(created=0.0, scheduled=2.0, started=30.0, ready=100.0)) == Start(2.0, 28.0, 70.0)
    assert Start(2.0, 28.0, 70.0).total == 100.0


@pytest.mark.parametrize(
    "missing", [{"scheduled": None}, {"started": None}, {"ready": None}, {"restarts": 1}], ids=lambda m: next(iter(m))
)
def test_a_start_that_is_not_wholly_known_or_had_a_fault_is_none(missing: dict[str, Any]) -> None:
    times: dict[str, Any] = {"scheduled": 2.0, "started": 30.0, "ready": 100.0}
    assert start_of(pod(**(times | missing))) is None


def test_clocks_that_differ_make_no_negative_phase() -> None:
    assert start_of(pod(created=0.0, scheduled=-1.0, started=5.0, ready=4.0)) == Start(0.0, 6.0, 0.0)


def test_without_any_start_there_is_a_prior_and_no_status() -> None:
    empty = ledger()
    assert (empty.lead_p50, empty.lead_p90, empty.status()) == (PRIOR_P50, PRIOR_P90, None)


def test_the_lead_time_is_that_of_the_starts_and_of_few_the_p90_is_the_longest() -> None:
    made = ledger(50, 60, 70)
    assert (made.lead_p50, made.lead_p90) == (60, 70)
    status = made.status()
    assert status is not None
    assert status.to_manifest() == {
        "starts": 3,
        "scheduling": {"p50": 6, "p90": 7},
        "pulling": {"p50": 12, "p90": 14},
        "loading": {"p50": 42, "p90": 49},
        "total": {"p50": 60, "p90": 70},
    }


def test_a_pod_is_counted_once_however_often_it_is_seen_and_however_its_readiness_flaps() -> None:
    made = Ledger()
    made.see([])
    made.see([started("a", 50)])
    made.see([started("a", 50)])
    made.see([pod("a", scheduled=5.0, started=15.0)])
    made.see([started("a", 50, ready=900.0)])
    assert made.lead_p90 == 50


def test_a_pod_that_was_ready_before_counts_only_where_nothing_better_is_known() -> None:
    first = Ledger()
    first.see([started("a", 50)])
    assert first.lead_p50 == 50
    known = Ledger(first.status())
    known.see([started("a", 50), started("b", 5000)])
    known.see([started("a", 50), started("b", 5000, ready=9000.0)])
    assert known.lead_p90 == 50


def test_only_the_last_starts_count() -> None:
    made = ledger(*[500.0] * 10, *[50.0] * KEPT)
    assert made.lead_p90 == 50


def test_another_template_counts_alone_as_soon_as_there_are_enough_of_it() -> None:
    made = ledger(50, 50, 50, 50, template="old")
    for place in range(ENOUGH):
        made.see([started(f"new-{place}", 200, at=1000.0 + place, labels={"pod-template-hash": "new"})])
        assert made.lead_p50 == (200 if place == ENOUGH - 1 else 50)
    status = made.status()
    assert status is not None
    assert status.starts == ENOUGH


@pytest.mark.parametrize(
    ("totals", "budget", "expiry"),
    [
        ((), 900.0, 900.0),  # nothing measured: what the start may take
        ((50.0, 100.0), 900.0, 200.0),
        ((3.0,), 900.0, 60.0),
        ((800.0,), 900.0, 900.0),
    ],
)
def test_a_pod_is_counted_on_for_twice_the_p90_within_the_budget_of_its_start(
    totals: tuple[float, ...], budget: float, expiry: float
) -> None:
    assert ledger(*totals).expiry(budget) == expiry


@given(st.lists(st.floats(1, 2000), min_size=1, max_size=40))
def test_restarts_of_the_operator_keep_the_lead_time(totals: list[float]) -> None:
    before = ledger(*totals).status()
    assert before is not None
    after = Ledger(Ledger(before).status()).status()
    assert after is not None
    assert after.model_dump(exclude={"starts"}) == before.model_dump(exclude={"starts"})
    assert after.starts <= before.starts


def test_fresh_starts_soon_outweigh_those_of_a_status() -> None:
    made = ledger(*[10.0] * ENOUGH, before=ledger(*[300.0] * KEPT).status())
    assert made.lead_p90 == 10


@pytest.mark.parametrize("status", [None, {}, "x", {"starts": 1}, {"starts": "1", "total": {}}])
def test_a_status_that_cannot_be_read_is_none(status: Any) -> None:
    assert ColdStartStatus.of(status) is None


def test_a_status_of_a_later_release_is_read_as_far_as_it_is_known() -> None:
    status = ledger(50).status()
    assert status is not None
    assert ColdStartStatus.of({**status.to_manifest(), "fetching": {"p50": 1, "p90": 2}}) == status


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_quantile_is_one_of_the_values(values: list[float], q: float) -> None:
    assert quantile(values, q) in values
