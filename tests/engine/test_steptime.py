import re

import pytest

from slmfleet.engine import steptime
from slmfleet.engine.steptime import StepTime


def test_every_row_can_be_used() -> None:
    assert {"L4-8B", "A10G-8B", "A100-80-8B", "H100-8B"} <= steptime.known().keys()
    assert steptime.named("L4-8B") == StepTime(a=0.067, p=260e-6, d=75e-6, kappa=0.55e-6)


def test_an_unknown_row_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'T4' is not a row of engine/steptime\.json; there are L4-8B, "):
        steptime.named("T4")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": 0.1}, "a, p, d, kappa are wanted"),
        ({"a": 0.1, "p": 0.1, "b": 0.1}, "a, p, d, kappa are wanted"),
        ({"a": -1, "p": 0.1}, "a: -1 is not a number of seconds, at least 0"),
        ({"a": 0.1, "p": float("nan")}, "p: nan is not a number"),
        ({"a": True, "p": 0.1}, "a: True is not a number"),
        ({"a": "1", "p": 0.1}, "a: '1' is not a number"),
    ],
)
def test_what_is_no_step_time_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        StepTime.of(values)
