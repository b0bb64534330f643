"""Money as text: exact both ways."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.money import usd_number, usd_text

CASES = ((0, "0"), (1, "0.000000000001"), (4_500_000_000, "0.0045"), (10**12, "1"), (-(10**12) - 5, "-1.000000000005"))


@pytest.mark.parametrize(("amount_pusd", "text"), [*CASES, (1_230_000_000_000_000, "1230")])
def test_an_amount_is_written_shortly(amount_pusd: int, text: str) -> None:
    """No exponent, no superfluous zeros."""
    assert usd_text(amount_pusd) == text


@given(st.integers())
def test_no_amount_is_rounded(amount_pusd: int) -> None:
    """The text is worth the picodollars, however many."""
    text = usd_text(amount_pusd)
    sign, digits, exponent = Decimal(text).as_tuple()
    assert int("".join(map(str, digits))) * 10 ** (12 + int(exponent)) * (-1 if sign else 1) == amount_pusd
    assert "e" not in text.lower()


def test_an_amount_is_a_json_number() -> None:
    """Row I5: W30's cost is a number, and no float made it."""
    assert msgspec.json.encode({"cost_usd": usd_number(123_456_789_012_345_678)}) == b'{"cost_usd":123456.789012345678}'
