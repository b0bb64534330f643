"""Picodollars as decimal text: exact, without exponent, without superfluous zeros."""

import msgspec

PUSD_PER_USD = 1_000_000_000_000
_DECIMALS = 12


def usd_text(amount_pusd: int) -> str:
    """Write an amount in dollars: 4_500_000_000 is ``0.0045``, 0 is ``0``."""
    whole, rest = divmod(abs(amount_pusd), PUSD_PER_USD)
    sign = "-" if amount_pusd < 0 else ""
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest:0{_DECIMALS}d}".rstrip("0")


def usd_number(amount_pusd: int) -> msgspec.Raw:
    """Write an amount in dollars as a JSON number that no float has touched."""
    return msgspec.Raw(usd_text(amount_pusd).encode())
