from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.api.quantities import amount, in_bytes, seconds, size


@pytest.mark.parametrize(
    ("quantity", "number"),
    [("4Gi", 4 * 1024**3), ("1G", 10**9), ("0.5", Decimal("0.5")), ("500m", Decimal("0.5")), ("1.5Ki", 1536), ("7", 7)],
)
def test_a_quantity_is_a_number(quantity: str, number: Decimal) -> None:
    assert amount(quantity) == number


def test_part_of_a_byte_is_a_byte() -> None:
    assert size("1500m") == 2


@given(st.integers(min_value=0, max_value=2**60))
def test_bytes_come_back_from_the_quantity_that_they_were_written_as(amount_: int) -> None:
    assert size(in_bytes(amount_)) == amount_


@pytest.mark.parametrize(
    ("number", "written"), [(4 * 1024**3, "4Gi"), (1536 * 1024**2, "1536Mi"), (1000, "1000"), (0, "0")]
)
def test_the_largest_unit_without_a_fraction_is_written(number: int, written: str) -> None:
    assert in_bytes(number) == written


@pytest.mark.parametrize(("duration", "number"), [("90s", 90), ("5m", 300), ("1h30m", 5400)])
def test_a_duration_is_seconds(duration: str, number: int) -> None:
    assert seconds(duration) == number
