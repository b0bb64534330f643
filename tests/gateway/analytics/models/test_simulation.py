"""What another model would have cost: the same tokens at its price, with an interval that says what it covers."""

from gateway.analytics.models.simulation import simulate
from gateway.analytics.overview.periods import HOUR_NS, MINUTE_NS, align
from gateway.db import Database
from gateway.ledger import store
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import read_price
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

ROW = PriceRow(
    provider="openai",
    model="m",
    effective_from="2020-01-01",
    input="1",
    output="2",
    cached_input="0.5",
    per_request="0.01",
)
PRICE = read_price(ROW, "here", is_operator=True)
MICRO, CENT = 10**6, 10**10


async def test_audits_are_calls_that_are_paid(database: Database) -> None:
    """They would be with another model too, each with what it costs a call."""
    async with database.write() as connection:
        rows = [make_row(upstream_model="m", cost_pusd=7, cache_layer="audit"), make_row(is_cached=True)]
        await store.insert_rows(connection, rows)
    (found,) = await simulate(database, (PROJECT_ID,), align(NOW_NS, NOW_NS + 1, MINUTE_NS), PRICE)
    assert (found.requests, found.actual_pusd, found.simulated_pusd) == (1, 7, 200 * MICRO + CENT)


async def test_tokens_are_priced_anew(database: Database) -> None:
    """Nothing around the same model, 5 % within the provider, more between providers; hits are left out."""
    used = {"input_tokens": 100, "output_tokens": 50, "cost_pusd": 7}
    rows = [
        make_row(upstream_model="m", model="same", **used),
        make_row(model="near", cache_read_tokens=10, **used),
        make_row(model="far", provider="anthropic", **used),
        make_row(model="far", provider="anthropic", is_cached=True),
        make_row(model="failed", input_tokens=0, output_tokens=0, cost_pusd=0),
    ]
    async with database.write() as connection:
        await store.insert_rows(connection, rows)
    period = align(NOW_NS, NOW_NS + 1, MINUTE_NS)
    found = {group.model: group for group in await simulate(database, (PROJECT_ID,), period, PRICE)}
    assert found.keys() == {"same", "near", "far"}
    same, near, far = (found[name] for name in ("same", "near", "far"))
    assert (same.requests, same.actual_pusd, same.simulated_pusd) == (1, 7, 200 * MICRO + CENT)
    assert same.low_pusd == same.high_pusd == same.simulated_pusd
    assert (near.simulated_pusd, near.low_pusd, near.high_pusd) == tuple(
        tokens * 205 * MICRO // 100 + CENT for tokens in (100, 95, 105)
    )
    assert (far.requests, far.low_pusd, far.high_pusd) == (1, 160 * MICRO + CENT, 250 * MICRO + CENT)
    assert await simulate(database, (), align(0, 1, HOUR_NS), PRICE) == []
