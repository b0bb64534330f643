"""Migrations: forwards only, all or nothing, and nothing that was stored is lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from gateway.db import Database
from gateway.migrations.apply import MIGRATIONS, DatabaseTooNew, migrate

FIRST = ("CREATE TABLE notes (note TEXT PRIMARY KEY)",)
SECOND = ("ALTER TABLE notes ADD COLUMN stars BIGINT NOT NULL DEFAULT 3", "CREATE TABLE stars (n {blob})")
BROKEN = ("CREATE TABLE half (n BIGINT)", "CREATE NONSENSE")


@pytest.fixture
async def empty(empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A database whose schema is at version 0."""
    monkeypatch.setattr("gateway.db.migrate", do_nothing)
    database = await Database.open(empty_url, tmp_path)
    yield database
    await database.close()


async def do_nothing(*_: object) -> None:
    """Stand in for migrate."""


async def apply(database: Database, *migrations: tuple[str, ...]) -> None:
    """Bring a database to the last of these."""
    async with database.write() as connection:
        await migrate(connection, database.dialect, migrations)


async def ask(database: Database, statement: str) -> list[tuple[object, ...]]:
    """Read rows."""
    async with database.read() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


async def test_an_upgrade_keeps_the_data(empty: Database) -> None:
    """A step is applied to what the step before left, filled."""
    await apply(empty, FIRST)
    async with empty.write() as connection:
        await connection.execute(text("INSERT INTO notes (note) VALUES ('kept')"))
    await apply(empty, FIRST, SECOND)
    assert await ask(empty, "SELECT note, stars FROM notes") == [("kept", 3)]
    assert await ask(empty, "SELECT version FROM schema_version") == [(2,)]


async def test_steps_are_applied_once(empty: Database) -> None:
    """A second start finds everything done."""
    for _ in range(2):
        await apply(empty, FIRST, SECOND)
    assert await ask(empty, "SELECT version FROM schema_version") == [(2,)]


async def test_a_step_that_fails_leaves_the_database_as_it_was(empty: Database) -> None:
    """Statements of a schema are in the transaction too."""
    await apply(empty, FIRST)
    with pytest.raises(DBAPIError):
        await apply(empty, FIRST, BROKEN)
    assert await ask(empty, "SELECT version FROM schema_version") == [(1,)]
    await apply(empty, FIRST, ("CREATE TABLE half (n BIGINT)",))


async def test_a_newer_database_is_refused(empty: Database) -> None:
    """The message says how to go on; nothing is changed."""
    await apply(empty, FIRST, SECOND)
    with pytest.raises(DatabaseTooNew, match="start the newer version"):
        await apply(empty, FIRST)
    assert await ask(empty, "SELECT version FROM schema_version") == [(2,)]


async def test_the_database_is_at_the_last_step_after_opening(database: Database) -> None:
    """Opening applies everything."""
    assert await ask(database, "SELECT version FROM schema_version") == [(len(MIGRATIONS),)]


async def test_opening_a_newer_database_is_refused(empty_url: str, tmp_path: Path) -> None:
    """A downgrade is told at the start, not by errors later."""
    database = await Database.open(empty_url, tmp_path)
    async with database.write() as connection:
        await connection.execute(text("UPDATE schema_version SET version = 1000"))
    await database.close()
    with pytest.raises(DatabaseTooNew, match="1000"):
        await Database.open(empty_url, tmp_path)
