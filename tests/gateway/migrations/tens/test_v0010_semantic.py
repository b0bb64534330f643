"""Schema 10: what was there stays, and the cache had nothing to do with it."""

from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.accounts.store import read_changes
from gateway.db import Database
from gateway.ledger import store
from gateway.migrations import apply
from gateway.migrations.tens.v0010_semantic import STATEMENTS
from tests.gateway.migrations.ones.test_v0004_control import BEFORE
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


async def test_a_key_of_the_version_before_wants_nothing_of_its_own(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either database."""
    before = apply.MIGRATIONS[: apply.MIGRATIONS.index(STATEMENTS)]
    with monkeypatch.context() as patched:
        patched.setattr(apply.migrate, "__defaults__", (before,))
        database = await Database.open(empty_url, tmp_path)
        async with database.write() as connection:
            for statement in BEFORE:
                await connection.execute(text(statement))
        await database.close()
    database = await Database.open(empty_url, tmp_path)
    _, changes = await read_changes(database, 0)
    assert [(change.key_id, change.cache) for change in changes] == [("key_1", None)]
    await database.close()
