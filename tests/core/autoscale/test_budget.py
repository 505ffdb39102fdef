import pytest

from slmfleet.core.autoscale.budget import Budget, Dial
from slmfleet.core.autoscale.settings import Learned, Settings

SETTINGS = Settings(ttft_objective=5.0, holds_back=True, allowed_late=0.01)


def spend(minutes: int, late_in: dict[int, float], budget: Budget | None = None, waiting_late: float = 0.0) -> Budget:
    """An account after some minutes of ten first tokens a second, with so many late ones in some of them."""
    budget = budget or Budget(SETTINGS, Learned())
    for second in range(minutes * 60):
        late = late_in.get(second // 60, 0.0) / 60
        budget.take(1.0, 10.0, late, waiting_late, lead=60.0)
    return budget


@pytest.mark.parametrize(
    ("lean", "hold", "noise", "peak"),
    [
        (0, 0, 0, 0),
        (0.175, 0.5, 0, 0),
        (0.35, 1, 0, 0),
        (0.5, 1, 0.5, 0),
        (0.65, 1, 1, 0),
        (0.825, 1, 1, 0.5),
        (1, 1, 1, 1),
    ],
)
def test_margins_go_one_after_the_other(lean: float, hold: float, noise: float, peak: float) -> None:
    dial = Dial(lean)
    assert (dial.hold, dial.noise, dial.peak) == pytest.approx((hold, noise, peak))


def test_nothing_is_offered_before_anything_is_known() -> None:
    assert spend(0, {}).dial.lean == 0
    assert Budget(SETTINGS, Learned(answered=100, seconds=600)).dial.lean == 0


def test_a_reserve_of_half_a_lead_time_is_kept() -> None:
    # 1 % of an hour is 36 s of traffic: (36 - 0.3 x 60) / (0.4 x 60) = 0.75
    assert spend(60, {}).dial.lean == pytest.approx(0.75, abs=0.01)


def test_a_full_account_offers_everything() -> None:
    assert spend(120, {}).dial.lean == 1.0


def test_an_empty_account_offers_nothing() -> None:
    # 1 % of two hours is 720 requests
    assert spend(120, {10: 720.0}).dial.lean == 0.0


def test_fast_misses_stop_it_at_once() -> None:
    budget = spend(120, {})
    spend(5, {0: 300.0}, budget)
    assert budget.dial.lean == 0.0


def test_who_waits_too_long_counts_before_it_is_served() -> None:
    budget = spend(120, {})
    spend(1, {}, budget, waiting_late=2000)
    assert budget.dial.lean == 0.0


def test_the_dial_rises_slowly() -> None:
    budget = Budget(SETTINGS, Learned(answered=100_000, seconds=20_000))
    budget.take(1.0, 10.0, 0.0, 0.0, 60.0)
    assert budget.dial.lean == 0.005


def test_the_account_outlives_a_restart() -> None:
    before = spend(120, {30: 200.0})
    answered, late, seconds = before.account()
    after = Budget(SETTINGS, Learned(answered=answered, late=late, seconds=seconds))
    assert after.account() == pytest.approx((72_000, 200, 7200))
    spend(180, {}, after)
    assert after.account() == pytest.approx((36_000 + 108_000, 100, 3600 + 10_800))


def test_the_account_covers_six_hours() -> None:
    assert spend(420, {0: 600.0}).account() == pytest.approx((216_000, 0, 21_600))
