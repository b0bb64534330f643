"""Schema 8: what was there stays, and was answered by no entry."""

from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.db import Database
from gateway.ledger import store
from tests.gateway.usage_rows import NOW_NS, make_row


async def test_rows_have_an_entry_or_none(tmp_path: Path) -> None:
    """A row that names none was no hit; one that does keeps it."""
    database = await Database.open(None, tmp_path)
    try:
        async with database.write() as connection:
            await store.insert_rows(connection, [make_row(NOW_NS), make_row(NOW_NS + 1, cache_entry="ce_1")])
            found = await connection.execute(text("SELECT cache_entry FROM usage ORDER BY created_ns"))
            assert list(found.scalars()) == ["", "ce_1"]
    finally:
        await database.close()


@pytest.mark.parametrize("table", ["cache_settings", "cache_purges"])
async def test_the_tables_are_there_and_empty(database: Database, table: str) -> None:
    """In either database."""
    async with database.read() as connection:
        rows = await connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 - made of constants
        assert rows.all() == []
        assert (await connection.execute(text("SELECT value FROM revisions WHERE name = 'cache'"))).scalar_one() == 0
