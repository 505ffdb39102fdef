import pytest

from slmfleet.core.autoscale.surge import Surges

LEAD = 150.0


def rises(*peaks: tuple[int, float], until: int = 3600, load: float = 4.0) -> float:
    """What an hour of steady load is insured for, with rises of 20 s at the given seconds."""
    surges = Surges()
    for at in range(until):
        high = next((peak for start, peak in peaks if start <= at < start + 20), load)
        surges.take(at, high, load, LEAD)
    return surges.worth()


@pytest.mark.parametrize(
    ("peaks", "worth"),
    [
        ([], 0.0),
        # one is no habit
        ([(600, 10.0)], 0.0),
        # the second highest is what two reached
        ([(600, 10.0), (1800, 8.0)], 8.0),
        # below 1.1 x 4 + 0.5 nothing rises
        ([(600, 4.8), (1800, 4.8)], 0.0),
        # two that are less than a lead time and a minute apart are one
        ([(600, 10.0), (700, 8.0)], 0.0),
        # 20 s x 9 = 180 s are 1.2 % of the hour's work, so the third counts too
        ([(600, 9.0), (1500, 9.0), (2400, 6.0)], 9.0),
    ],
)
def test_worth_by_hand(peaks: list[tuple[int, float]], worth: float) -> None:
    assert rises(*peaks) == worth


def test_rises_are_forgotten_after_an_hour() -> None:
    assert rises((100, 10.0), (600, 10.0), until=3600) == 10.0
    assert rises((100, 10.0), (600, 10.0), until=3600 + 621) == 0.0
