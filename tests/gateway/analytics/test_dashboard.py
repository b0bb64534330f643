"""The overview and the month: whole days in UTC, all parts of one whole."""

import pytest

from gateway.analytics.dashboard import MAX_CHART_DAYS, TOP_MODELS, count_calls, read_month, read_overview, read_span
from gateway.analytics.moments import NS_PER_DAY, day_start_ns, parse_moment
from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.row import UsageRow
from gateway.ledger.sums import NOTHING
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

TODAY_NS = day_start_ns(NOW_NS)
OWN = (PROJECT_ID,)


async def insert(database: Database, *rows: UsageRow) -> None:
    """Store rows."""
    async with database.write() as connection:
        await store.insert_rows(connection, rows)


async def test_the_days_add_up_to_the_total(database: Database) -> None:
    """Without a gap, the oldest first, and nothing of the day before the first or of the future."""
    days = [0, 1, 6, 7, 29, 30]
    rows = (make_row(TODAY_NS - day * NS_PER_DAY + 5) for day in days)
    await insert(database, *rows, make_row(NOW_NS + 1))
    for period, first, requests in (("7d", 6, 3), ("30d", 29, 5), ("all", 30, 6)):
        overview = await read_overview(database, OWN, period, NOW_NS)  # type: ignore[arg-type] - of the table
        assert [moment for moment, _ in overview.days] == [TODAY_NS - day * NS_PER_DAY for day in range(first, -1, -1)]
        assert sum(sums.requests for _, sums in overview.days) == overview.total.requests == requests
        assert overview.today.requests == 1


async def test_the_models_that_cost_most_are_few(database: Database) -> None:
    """However many there are."""
    await insert(database, *(make_row(NOW_NS, model=f"m{cost}", cost_pusd=cost * 10**9) for cost in range(30)))
    overview = await read_overview(database, OWN, "7d", NOW_NS)
    assert [model for model, _ in overview.models] == [f"m{cost}" for cost in range(29, 29 - TOP_MODELS, -1)]


async def test_a_chart_has_an_end(database: Database) -> None:
    """A row of 1970 does not make twenty thousand points; it still counts."""
    await insert(database, make_row(5), make_row(NOW_NS))
    overview = await read_overview(database, OWN, "all", NOW_NS)
    assert (len(overview.days), overview.total.requests) == (MAX_CHART_DAYS, 2)


async def test_nobodys_overview_is_empty(database: Database) -> None:
    """A chart of today."""
    overview = await read_overview(database, (), "all", NOW_NS)
    assert (overview.total, overview.models, overview.days) == (NOTHING, [], [(TODAY_NS, NOTHING)])
    assert await count_calls(database, "acct_nobodys", NOW_NS) == 0


def test_a_month_is_the_calendars() -> None:
    """The current one where none is named."""
    assert read_month("2024-02", NOW_NS) == (parse_moment("2024-02-01"), parse_moment("2024-03-01"))
    assert read_month(None, NOW_NS) == (parse_moment("2026-09-01"), parse_moment("2026-10-01"))
    for text in ("", "2024-00", "2024-13", "0000-01", "2024-1", "2024-01-01", "\u0662\u0660\u0662\u0664-01"):
        with pytest.raises(ValueError, match="is no month: write it as 2025-01"):
            read_month(text, NOW_NS)


async def test_a_span_is_summed_to_the_nanosecond(database: Database) -> None:
    """From inclusive, to exclusive."""
    await insert(database, *(make_row(NOW_NS + number) for number in range(3)))
    assert (await read_span(database, OWN, NOW_NS + 1, NOW_NS + 2)).requests == 1
