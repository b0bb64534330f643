"""The short way to SQLite, with SQLAlchemy's errors."""

from pathlib import Path

import pytest
from sqlalchemy import exc

from gateway.db import Database, facts_of, run_sqlite, run_sqlite_often

INTO = "INSERT INTO revisions (name, value)"


async def test_errors_are_those_of_the_long_way(tmp_path: Path) -> None:
    """So that whoever retries, or halves a batch, need not know which way it went; and values stay out of them."""
    database = await Database.open(None, tmp_path)
    with pytest.raises(exc.IntegrityError) as refused:
        async with database.write() as connection:
            await run_sqlite(connection, f"{INTO} VALUES (?, ?), (?, ?)", ("secret", 1, "secret", 2))
    assert "secret" not in str(refused.value)
    with pytest.raises(exc.IntegrityError) as refused:
        async with database.write() as connection:
            await run_sqlite_often(connection, f"{INTO} VALUES (?, ?)", [("secret", 1), ("secret", 2)])
    assert "secret" not in str(refused.value)
    async with database.read() as connection:
        assert (await run_sqlite(connection, "SELECT COUNT(*) FROM revisions WHERE name = ?", ("secret",)))[0][0] == 0
    await database.close()


async def test_facts_end_with_the_connection(tmp_path: Path) -> None:
    """They are about what can never change, in the file that was opened."""
    database = await Database.open(None, tmp_path)
    async with database.write() as connection:
        facts_of(connection)["known"] = True
    async with database.write() as connection:
        assert facts_of(connection).get("known")
    await database.close()
    async with database.write() as connection:
        assert not facts_of(connection).get("known")
    await database.close()
