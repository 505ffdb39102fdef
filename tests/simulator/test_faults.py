import pytest

from slmfleet.simulator.faults import FaultError, Faults


def test_changes_go_on_top_of_what_is_set_and_null_undoes_one() -> None:
    faults = Faults().changed({"health": "hang", "slow_factor": 3}).changed({"health": None})
    assert faults == Faults(slow_factor=3)


REFUSED = [
    ({"helth": "hang"}, "'helth' is not a fault; known are crash, "),
    ({"health": "bad"}, "health: 'bad' must be one of ok, unavailable, hang"),
    ({"slow_factor": -1}, "slow_factor: -1 must be a number of at least 0"),
    ({"error_status": 200}, "error_status: 200 must be a whole number from 400 to 599"),
    ({"stall": 1}, "stall: 1 must be true or false"),
    ({"crash": 1}, "crash: 1 must be a text"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_a_fault_that_makes_no_sense_is_refused_with_what_would(changes: dict[str, object], message: str) -> None:
    with pytest.raises(FaultError, match=f"^{message}"):
        Faults().changed(changes)


def test_a_crash_is_a_known_cause_or_a_text_of_its_own() -> None:
    known, own = Faults(crash="disk-full"), Faults(crash="ValueError: mine")
    assert (known.crash_text(), own.crash_text()) == (
        "OSError: [Errno 28] No space left on device",
        "ValueError: mine",
    )
