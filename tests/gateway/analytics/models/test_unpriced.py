"""Calls without a price: found in whole days and among others, counted once, and not told once they are priced."""

from typing import Any

import pytest
from sqlalchemy import text

from gateway.analytics.models import unpriced
from gateway.analytics.models.unpriced import read_unpriced
from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.rollups import DAY_NS
from gateway.ledger.row import UsageRow
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import PriceTable
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

TODAY_NS = NOW_NS // DAY_NS * DAY_NS
PRICES = PriceTable([PriceRow(provider="openai", model="known", effective_from="2020-01-01", input="1", output="2")])
KNOWN_PUSD = 100 * 10**6 + 50 * 2 * 10**6
OTHER = "proj_01m807j9z9fzctrfnvyefwebwz"


def lacking(created_ns: int = NOW_NS, **fields: Any) -> UsageRow:
    """A call that nobody could price."""
    usual = {"upstream_model": "new", "model": "new", "cost_pusd": 0, "cost_basis": "unpriced"}
    return make_row(created_ns, **{**usual, **fields})


def known(created_ns: int = NOW_NS, **fields: Any) -> UsageRow:
    """A call at the price that is in force."""
    return make_row(created_ns, **{"upstream_model": "known", "model": "known", "cost_pusd": KNOWN_PUSD, **fields})


async def ask(database: Database, *rows: UsageRow, days: int = 2) -> tuple[list[tuple[Any, ...]], bool]:
    """Store rows and read what has no price: model, calls, tokens, first and last."""
    async with database.write() as connection:
        await store.insert_rows(connection, rows)
    since_ns = TODAY_NS - (days - 1) * DAY_NS
    found = await read_unpriced(database, PRICES, (PROJECT_ID,), since_ns, TODAY_NS + DAY_NS)
    told = [(each.model, each.calls, each.tokens, each.first_ns, each.last_ns) for each in found.groups]
    return told, found.is_exact


async def test_they_are_counted_by_model(database: Database) -> None:
    """Over days and keys; those of other days and projects, failures, hits and what is free are none of them."""
    before_ns = NOW_NS - DAY_NS
    told = await ask(
        database,
        lacking(),
        lacking(before_ns, key_id="key_01m807j9z9fzctrfnvyefwebwa"),
        lacking(NOW_NS + 1, model="small", input_tokens=1, output_tokens=0),
        known(),
        lacking(project_id=OTHER),
        lacking(NOW_NS - 2 * DAY_NS),
        lacking(is_cached=True, cost_basis="cache"),
        lacking(status="failed", error_code="provider_error", input_tokens=0, output_tokens=0, cost_basis="none"),
        lacking(provider="sandbox", cost_basis="free"),
        lacking(model="checked", cache_layer="audit", input_tokens=5, output_tokens=5),
        known(cache_layer="audit"),
    )
    assert told == (
        [
            ("new", 2, 300, before_ns, NOW_NS),
            ("checked", 1, 10, NOW_NS, NOW_NS),
            ("small", 1, 1, NOW_NS + 1, NOW_NS + 1),
        ],
        True,
    )


async def test_one_among_priced_calls_of_its_hour_is_found(database: Database) -> None:
    """A price that came at noon is in force for the whole day: its morning is not."""
    told, is_exact = await ask(database, known(), lacking(upstream_model="known", model="known"), known())
    assert ([each[:3] for each in told], is_exact) == ([("known", 1, 150)], True)


async def test_what_was_priced_later_is_told_no_more(database: Database) -> None:
    """By a correction that names a price, be it of 0."""
    first, second = lacking(), lacking(NOW_NS + 1)
    async with database.write() as connection:
        await store.insert_rows(connection, [first, second])
        await connection.execute(
            text("INSERT INTO corrections VALUES (:request_id, 0, 0, 'operator', 'x', 1, 0)"),
            {"request_id": first.request_id},
        )
    assert [each[1] for each in (await ask(database))[0]] == [1]


async def test_priced_days_are_not_looked_at(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the day's sum is what its tokens cost no row is read: with none allowed the answer is exact."""
    monkeypatch.setattr(unpriced, "MAX_ROWS", 0)
    assert await ask(database, known(), known(NOW_NS + 1)) == ([], True)


async def test_too_many_are_told_by_their_sums(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest day row by row; of the one before all calls of a model that cost nothing, and that it is not exact."""
    monkeypatch.setattr(unpriced, "MAX_ROWS", 1)
    before_ns = NOW_NS - DAY_NS
    more = [lacking(before_ns + number) for number in range(2)]
    mixed = [lacking(before_ns, model="known", upstream_model="known"), known(before_ns)]
    told = await ask(database, lacking(), *more, *mixed)
    assert told == ([("new", 3, 450, TODAY_NS - DAY_NS, NOW_NS)], False)


async def test_who_has_no_project_has_none(database: Database) -> None:
    """And nothing is asked."""
    assert (await read_unpriced(database, PRICES, (), 0, DAY_NS)).groups == []
