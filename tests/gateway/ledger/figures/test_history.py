"""What was stored before there were figures is brought into them, each row once, whatever comes meanwhile."""

import pytest
from sqlalchemy import text

from gateway.analytics.verify_figures import find_differences
from gateway.db import Database, DatabaseUnavailable
from gateway.ledger import store
from gateway.ledger.figures import history
from gateway.ledger.figures.history import fold_figures
from gateway.ledger.figures.reading import read_series
from gateway.ledger.rollups import HOUR_NS
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_history, make_row


async def insert(database: Database, first: int, last: int) -> None:
    """Store rows."""
    async with database.write() as connection:
        rows = [make_row(NOW_NS + number * HOUR_NS // 3, tags="a") for number in range(first, last)]
        await store.insert_rows(connection, rows)


async def test_a_history_is_summed_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces, with rows that come between; until it is done nothing is told that would be wrong."""
    monkeypatch.setattr(history, "HISTORY_ROWS", 3)
    await insert(database, 0, 10)
    async with database.write() as connection:
        for statement in ("DELETE FROM usage_figures", "DELETE FROM usage_tags"):
            await connection.execute(text(statement))
    await make_history(database, "figures_state")
    assert await fold_figures(database)
    await insert(database, 10, 14)
    async with database.read() as connection:
        with pytest.raises(DatabaseUnavailable, match="summed up"):
            await read_series(connection, [PROJECT_ID], 0, HOUR_NS, HOUR_NS)
    while await fold_figures(database):
        pass
    assert not await fold_figures(database)
    assert [difference async for difference in find_differences(database)] == []
    async with database.read() as connection:
        found = await connection.execute(text(f"SELECT SUM(requests) FROM usage_figures WHERE span_ns = {HOUR_NS}"))  # noqa: S608 - constants
        assert found.scalar_one() == 14
