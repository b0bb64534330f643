"""Prompt caches: shares, savings and losses, by the day, key and model."""

import pytest

from gateway.analytics.moments import NS_PER_DAY, day_start_ns
from gateway.analytics.prompt_cache import MAX_DAYS, PromptCacheUse, PromptCacheUses, read_period, read_prompt_cache
from gateway.analytics.usage import InvalidUsageQuery
from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.row import UsageRow
from gateway.ledger.store import UsageFilter
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import PriceTable
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

DAY_NS = day_start_ns(NOW_NS)
RATES = {"input": "3", "cached_input": "0.3", "cache_write": "3.75", "cache_write_1h": "6"}
PRICES = PriceTable(
    [
        PriceRow(provider="anthropic", model="claude", effective_from="2024-01-01", **RATES),
        PriceRow(provider="anthropic", model="claude", effective_from="2026-09-22", input="1"),
        PriceRow(provider="openai", model="gpt-4-0613", effective_from="2024-01-01", input="2", cached_input="1"),
    ]
)
PERIOD = UsageFilter(project_id=PROJECT_ID, from_ns=DAY_NS - NS_PER_DAY, to_ns=DAY_NS + 2 * NS_PER_DAY)


def claude(created_ns: int = DAY_NS, *, read: int = 0, short: int = 0, long: int = 0, key_id: str = "a") -> UsageRow:
    """A call of the model with a surcharge for writes."""
    counts = {"input_tokens": 10, "cache_read_tokens": read, "cache_write_tokens": short, "cache_write_1h_tokens": long}
    names = {"key_id": key_id, "model": "claude", "provider": "anthropic", "upstream_model": "claude"}
    return make_row(created_ns, **names, **counts)


async def read(database: Database, *rows: UsageRow) -> PromptCacheUses:
    """Store rows and read what their caches did."""
    async with database.write() as connection:
        await store.insert_rows(connection, rows)
    return await read_prompt_cache(database, PRICES, PERIOD)


async def test_reads_save_and_unread_writes_lose(database: Database) -> None:
    """2,000 written and 1,500 read in a day: 500 were read by nobody, the cheaper writes first."""
    rows = (claude(short=300, long=1_700), claude(DAY_NS + 5, read=1_500))
    use = (await read(database, *rows)).by_key["a", "claude"]
    assert (use.input_tokens, use.cache_read_tokens, use.cache_write_tokens) == (3_520, 1_500, 2_000)
    assert (use.unread_tokens, use.cached_share) == (500, 1_500 / 3_520)
    assert use.saved_pusd == 1_500 * 2_700_000
    assert use.lost_pusd == 300 * 750_000 + 200 * 3_000_000


async def test_days_keys_and_models_do_not_lend_each_other_reads(database: Database) -> None:
    """What was read elsewhere was not what was written here; all together is the sum."""
    rows = (claude(short=100), claude(key_id="b", read=100), claude(DAY_NS - 1, read=100), make_row(DAY_NS))
    uses = await read(database, *rows)
    assert {key: use.unread_tokens for key, use in uses.by_key.items()} == {
        ("a", "claude"): 100,
        ("b", "claude"): 0,
        (rows[3].key_id, "gpt-4"): 0,
    }
    assert (uses.total.unread_tokens, uses.total.cache_read_tokens) == (100, 200)
    assert next(iter(uses.by_key)) == ("a", "claude")


async def test_a_day_has_its_own_price(database: Database) -> None:
    """From the 22nd on a cached token costs what a fresh one does."""
    uses = await read(database, claude(read=10), claude(DAY_NS + NS_PER_DAY, read=10))
    assert uses.total.saved_pusd == 10 * 2_700_000


async def test_without_a_price_there_is_no_money(database: Database) -> None:
    """And how much of the input that is, is told."""
    row = make_row(DAY_NS, provider="nobody", cache_read_tokens=50, cache_write_tokens=70)
    total = (await read(database, row)).total
    assert (total.saved_pusd, total.lost_pusd, total.unpriced_tokens, total.unread_tokens) == (0, 0, 220, 20)


async def test_no_calls_have_no_share(database: Database) -> None:
    """Zeros, and no division by them."""
    uses = await read(database)
    assert (uses.by_key, uses.total, uses.total.cached_share) == ({}, PromptCacheUse(), 0.0)


def test_a_period_has_an_end() -> None:
    """Three months; limit and model are not asked for here."""
    rows = read_period(PROJECT_ID, NOW_NS, {"limit": "nonsense", "from": "", "model": "x"})
    assert (rows.to_ns - rows.from_ns, rows.model) == (30 * NS_PER_DAY, None)
    with pytest.raises(InvalidUsageQuery, match=f"{MAX_DAYS} days") as caught:
        read_period(PROJECT_ID, NOW_NS, {"from": "2020-01-01"})
    assert caught.value.param == "from"
