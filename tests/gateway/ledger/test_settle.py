"""Usage becomes money: by whose price, and exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.settle import NOTHING, Cost, settle, settle_call
from providers.chat import Usage
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import MAX_COST_PUSD, Price, PriceTable, cost_pusd, read_price

AT_NS = 1_790_000_000_000_000_000
USAGE = Usage(input_tokens=15, output_tokens=10)
BUCKETS = [name for name in Usage.__struct_fields__ if name.endswith("_tokens") and name != "reasoning_tokens"]
TOKENS = st.integers(0, 10**12)


def row(price: str = "1", **more: str) -> PriceRow:
    """A price of openai/m from 2020 on."""
    return PriceRow(provider="openai", model="m", effective_from="2020-01-01", input=price, **more)  # type: ignore[arg-type]


def price(text: str = "1", *, is_operator: bool = False, **more: str) -> Price:
    """A price for every kind of token."""
    return read_price(row(text, **more), "here", is_operator=is_operator)


def usages() -> st.SearchStrategy[Usage]:
    """Any usage, with or without a reported cost."""
    reported = st.none() | st.integers(0, 10**18)
    return st.builds(Usage, **dict.fromkeys(BUCKETS, TOKENS), reported_cost_pusd=reported, estimated=st.booleans())


def test_the_operators_price_wins() -> None:
    """Over a cost that the provider reports, too: it is the operator's contract."""
    usage = Usage(input_tokens=15, reported_cost_pusd=7)
    assert (settle(usage, price(is_operator=True)).pusd, settle(usage, price(is_operator=True)).basis) == (
        15_000_000,
        "operator",
    )


def test_a_reported_cost_wins_over_the_bundled_price() -> None:
    """The provider knows what it will bill."""
    assert settle(Usage(input_tokens=15, reported_cost_pusd=7), price()) == Cost(pusd=7, basis="reported")


def test_a_reported_cost_needs_no_price() -> None:
    """A model that is new to the table."""
    assert settle(Usage(input_tokens=15, reported_cost_pusd=7), None) == Cost(pusd=7, basis="reported")


def test_the_bundled_price_is_the_rest() -> None:
    """With the id of the price, so that the row can be rated again."""
    assert settle(USAGE, price()) == Cost(pusd=25_000_000, basis="bundled", price_id=price().price_id)


@pytest.mark.parametrize("is_operator", [True, False])
def test_what_a_prompt_cache_took_off_is_told(*, is_operator: bool) -> None:
    """By the price of its time, whoever told the cost; nobody knows it without a price."""
    usage = Usage(input_tokens=5, cache_read_tokens=10, cache_write_tokens=3)
    given = price("1", is_operator=is_operator, cached_input="0.25")
    reported = Usage(cache_read_tokens=10, reported_cost_pusd=7)
    assert settle(usage, given).prompt_saved_pusd == settle(reported, given).prompt_saved_pusd == 7_500_000
    assert settle(usage, None).prompt_saved_pusd == settle(USAGE, given).prompt_saved_pusd == 0


def test_without_a_price_the_call_is_unpriced() -> None:
    """0 is never said silently."""
    assert settle(USAGE, None) == Cost(pusd=0, basis="unpriced")


def test_an_operators_zero_is_the_operators_word() -> None:
    """A model of the house costs nothing, and the row says by whom."""
    assert (settle(USAGE, price("0", is_operator=True)).pusd, settle(USAGE, price("0", is_operator=True)).basis) == (
        0,
        "operator",
    )


def test_nothing_used_is_nothing_owed() -> None:
    """A call that failed."""
    assert settle_call(PriceTable([row()]), "openai", "m", AT_NS, None) == NOTHING


@pytest.mark.parametrize(("day", "pusd"), [("2019-12-31", 0), ("2021-06-01", 15_000_000), ("2024-06-01", 30_000_000)])
def test_a_call_costs_what_held_at_its_time(day: str, pusd: int) -> None:
    """Prices begin at midnight UTC of their day."""
    table = PriceTable([row(), PriceRow(provider="openai", model="m", effective_from="2024-01-01", input="2")])
    at_ns = price_day_ns(day)
    assert settle_call(table, "openai", "m", at_ns, Usage(input_tokens=15)).pusd == pusd


def price_day_ns(day: str) -> int:
    """Midnight UTC of a day."""
    return read_price(
        PriceRow(provider="p", model="m", effective_from=day, input="1"), "here", is_operator=False
    ).effective_from_ns


def test_the_service_tier_has_its_own_price() -> None:
    """As the provider reports which one served the call."""
    table = PriceTable([row(), row("3", service_tier="flex")])
    assert settle_call(table, "openai", "m", AT_NS, Usage(input_tokens=15, service_tier="flex")).pusd == 45_000_000


@given(usages(), st.sampled_from(["operator", "bundled", "none"]))
def test_tokens_that_cost_nothing_say_why(usage: Usage, kind: str) -> None:
    """Of a priced model, used tokens cost something; else the basis tells that they were free of charge or unpriced."""
    known = None if kind == "none" else price(is_operator=kind == "operator")
    cost = settle(usage, known)
    if cost.pusd == 0 and usage.total_tokens:
        assert cost.basis == "unpriced" or (cost.basis == "reported" and usage.reported_cost_pusd == 0)


@given(usages(), st.sampled_from(["operator", "bundled", "none"]))
def test_the_order_of_authorities_never_changes(usage: Usage, kind: str) -> None:
    """Operator, reported, bundled, unpriced."""
    known = None if kind == "none" else price(is_operator=kind == "operator")
    order = [
        (kind == "operator", "operator"),
        (usage.reported_cost_pusd is not None, "reported"),
        (kind == "bundled", "bundled"),
        (True, "unpriced"),
    ]
    assert settle(usage, known).basis == next(basis for is_there, basis in order if is_there)


@given(usages(), st.integers(1, 10**15 - 1))
def test_a_cost_is_exact_to_the_picodollar(usage: Usage, micro: int) -> None:
    """Any amount of tokens at any price of six decimals, up to the most: integers, no float on the way."""
    text = f"{micro // 10**6}.{micro % 10**6:06d}"
    bare = Usage(**{name: getattr(usage, name) for name in BUCKETS})
    assert settle(bare, price(text)).pusd == min(usage.total_tokens * micro, MAX_COST_PUSD)


@given(usages(), usages())
def test_more_tokens_never_cost_less(usage: Usage, more: Usage) -> None:
    """Adding the tokens of two calls."""
    total = Usage(**{name: getattr(usage, name) + getattr(more, name) for name in BUCKETS})
    assert cost_pusd(price(), total) >= cost_pusd(price(), usage)
