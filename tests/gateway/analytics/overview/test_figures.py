"""A period's figures: every bucket, and together those of the rows."""

import pytest

from gateway.analytics.overview import figures
from gateway.analytics.overview.figures import read_overview
from gateway.analytics.overview.periods import HOUR_NS, MINUTE_NS, align
from gateway.db import Database
from gateway.ledger import store
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

HOUR = NOW_NS // HOUR_NS * HOUR_NS


async def test_every_bucket_is_there(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the period and of the one before; where there are very many calls, by the hour."""
    rows = [make_row(HOUR - 5 * MINUTE_NS), make_row(HOUR), make_row(HOUR + 2 * MINUTE_NS), make_row(HOUR + HOUR_NS)]
    async with database.write() as connection:
        await store.insert_rows(connection, rows)
    period = align(HOUR, HOUR + HOUR_NS, MINUTE_NS)
    overview = await read_overview(database, (PROJECT_ID,), period)
    assert [each.requests for _, each in overview.series] == [1, 0, 1] + [0] * 57
    assert [each.requests for _, each in overview.previous_series] == [0] * 55 + [1] + [0] * 4
    assert (overview.total.requests, overview.previous.requests) == (2, 1)
    monkeypatch.setattr(figures, "MAX_CALLS", 2)
    coarse = await read_overview(database, (PROJECT_ID,), period)
    assert coarse.series == [(HOUR, overview.total)]
    assert coarse.previous_series == [(HOUR - HOUR_NS, overview.previous)]
    # Their rows would be read too.
    async with database.write() as connection:
        await store.insert_rows(connection, [make_row(HOUR, cache_layer="audit") for _ in range(3)])
    monkeypatch.setattr(figures, "MAX_CALLS", 5)
    assert (await read_overview(database, (PROJECT_ID,), period)).series[0][1].requests == 2
    nothing = await read_overview(database, (), period)
    assert (nothing.total.requests, len(nothing.series)) == (0, 60)
