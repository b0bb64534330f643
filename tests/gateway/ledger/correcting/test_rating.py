"""Stored calls cost what the same call of their time costs by the prices in force now."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.correcting.rating import FINAL_BASES, RatedRow, rate
from gateway.ledger.row import UsageRow
from gateway.ledger.settle import Cost, settle_call
from providers.chat import Usage
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import PriceTable
from tests.gateway.usage_rows import NOW_NS, make_row

BUCKETS = [name for name in Usage.__struct_fields__ if name.endswith("_tokens") and name != "reasoning_tokens"]
ROWS = (
    PriceRow(provider="openai", model="m", effective_from="2020-01-01", input="1", output="2", cached_input="0.1"),
    PriceRow(provider="openai", model="m", effective_from="2026-01-01", input="3", output="4", cached_input="0.3"),
    PriceRow(provider="openai", model="m", service_tier="flex", effective_from="2020-01-01", input="0.5"),
)
YEAR_2025_NS = 1_740_000_000_000_000_000


def rated(row: UsageRow) -> RatedRow:
    """What re-rating reads of a row."""
    return msgspec.convert([getattr(row, field.name) for field in msgspec.structs.fields(RatedRow)], RatedRow)


@given(
    counts=st.fixed_dictionaries(dict.fromkeys(BUCKETS, st.integers(0, 10**9))),
    created_ns=st.sampled_from([YEAR_2025_NS, NOW_NS]),
    tier=st.sampled_from(["", "flex", "default"]),
    lost=st.integers(0, 10**9),
)
def test_a_row_costs_what_its_call_would(counts: dict[str, int], created_ns: int, tier: str, lost: int) -> None:
    """Every bucket, at the price of its time and its service tier; what a lost try cost is no part of it."""
    prices = PriceTable(ROWS)
    row = make_row(created_ns, upstream_model="m", service_tier=tier, lost_pusd=lost, cost_pusd=lost, **counts)
    usage = Usage(service_tier=tier, **counts)
    assert rate(rated(row), prices) == settle_call(prices, "openai", "m", created_ns, usage)


def test_what_a_provider_reported_stands_until_the_operator_names_a_price() -> None:
    """A bundled price never takes its place."""
    row = rated(make_row(upstream_model="m", cost_basis="reported", cost_pusd=107, lost_pusd=100))
    assert rate(row, PriceTable(ROWS)) == Cost(pusd=7, basis="reported")
    assert rate(row, PriceTable(ROWS, ROWS[:1])).basis == "operator"


def test_without_a_price_there_is_no_cost() -> None:
    """Never a zero in silence."""
    assert rate(rated(make_row(upstream_model="unknown")), PriceTable(ROWS)).basis == "unpriced"


@pytest.mark.parametrize(
    "fields", [{"is_cached": True}, {"status": "in_doubt"}, *({"cost_basis": basis} for basis in sorted(FINAL_BASES))]
)
def test_some_rows_are_final(fields: dict[str, object]) -> None:
    """No price says more of them."""
    assert rated(make_row(**fields)).is_final
    assert not rated(make_row()).is_final
