from hypothesis import given
from hypothesis import strategies as st

from slmfleet.core.autoscale.history import Highest, Recent, Totals

values = st.lists(st.integers(-100, 100), min_size=1, max_size=60)


@given(values, st.integers(0, 30), st.integers(0, 30))
def test_a_total_is_the_sum_of_its_bins(added: list[int], bins: int, ago: int) -> None:
    size = 20
    totals = Totals(2, size)
    for value in added:
        totals.add((float(value), 1.0))
    kept = added[-size:]
    end = len(kept) - min(ago, len(kept))
    window = kept[max(0, end - bins) : end]
    assert totals.over(0, bins, ago) == sum(window)
    assert totals.over(1, bins, ago) == len(window)


@given(values, st.integers(1, 30), st.integers(1, 30))
def test_the_highest_is_the_maximum_of_the_window(added: list[int], window: int, shorter: int) -> None:
    highest = Highest(window)
    for at, value in enumerate(added):
        highest.add(at, value)
        assert highest.at(at) == max(added[max(0, at - window + 1) : at + 1])
        seconds = min(window, shorter)
        assert highest.at(at, shorter) == max(added[max(0, at - seconds + 1) : at + 1])


def test_nothing_is_higher_than_nothing() -> None:
    highest = Highest(10)
    highest.add(0, 5)
    assert highest.at(10) == 0


@given(values, st.integers(1, 40), st.sampled_from([0.0, 0.5, 0.7, 0.999]))
def test_a_quantile_is_that_of_the_last_seconds(added: list[int], seconds: int, share: float) -> None:
    recent = Recent(30)
    for value in added:
        recent.add(value)
    window = sorted(added[-30:][-seconds:])
    assert recent.quantile(share, seconds) == window[int(share * len(window))]
