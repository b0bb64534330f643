"""Schema 10: what was there stays, and the cache had nothing to do with it."""

import pytest
from sqlalchemy import text

from gateway.db import Database
from gateway.ledger import store
from tests.gateway.usage_rows import NOW_NS, make_row


async def test_rows_have_a_role_or_none(database: Database) -> None:
    """One that names none was a call like any other."""
    async with database.write() as connection:
        await store.insert_rows(connection, [make_row(NOW_NS), make_row(NOW_NS + 1, cache_layer="audit")])
        found = await connection.execute(text("SELECT cache_layer FROM usage ORDER BY created_ns"))
        assert list(found.scalars()) == ["", "audit"]


@pytest.mark.parametrize(
    "table", ["cache_entries", "cache_answers", "cache_scopes", "cache_observations", "cache_decisions"]
)
async def test_the_tables_are_there_and_empty(database: Database, table: str) -> None:
    """In either database."""
    async with database.read() as connection:
        rows = await connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 - made of constants
        assert rows.all() == []
        revision = await connection.execute(text("SELECT value FROM revisions WHERE name = 'semantic'"))
        assert revision.scalar_one() == 0
