"""The short way to SQLite: many rows in few statements, with SQLAlchemy's errors."""

from pathlib import Path

import pytest
from sqlalchemy import exc, text

from gateway.db import Database, SqliteInsert, facts_of, run_sqlite

INTO = "INSERT INTO revisions (name, value)"
GROW = SqliteInsert(INTO, 2, "ON CONFLICT (name) DO UPDATE SET value = revisions.value + excluded.value")
ONCE = SqliteInsert(INTO, 2, "ON CONFLICT DO NOTHING")
SUM = text("SELECT COUNT(*), SUM(value) FROM revisions WHERE name LIKE 'n%'")


@pytest.mark.parametrize("count", [0, 1, 4, 25, 1_243])
async def test_any_number_of_rows_is_inserted(tmp_path: Path, count: int) -> None:
    """Each once, however they fall into statements; what is there already is told apart by the count."""
    rows = [(f"n{number}", number) for number in range(count)]
    database = await Database.open(None, tmp_path)
    async with database.write() as connection:
        assert await ONCE.run(connection, rows) == count
        assert await ONCE.run(connection, [*rows, ("new", 0)]) == 1
        assert await GROW.run(connection, rows) == count
        found = (await connection.execute(SUM)).one()
    assert tuple(found) == (count + 1, 2 * sum(range(count)))
    await database.close()


async def test_rows_with_many_columns_take_more_statements(tmp_path: Path) -> None:
    """A statement with all of them would have more parameters than SQLite takes."""
    columns = [f"c{number}" for number in range(90)]
    wide = SqliteInsert(f"INSERT INTO wide ({', '.join(columns)})", len(columns), "")
    database = await Database.open(None, tmp_path)
    async with database.write() as connection:
        await connection.execute(text(f"CREATE TABLE wide ({', '.join(columns)})"))
        assert await wide.run(connection, [range(90)] * 777) == 777
    await database.close()


async def test_what_all_rows_have_alike_need_not_be_given(tmp_path: Path) -> None:
    """Each row says the rest."""
    alike = SqliteInsert(INTO, 2, "ON CONFLICT DO NOTHING", {1: "7"})
    database = await Database.open(None, tmp_path)
    async with database.write() as connection:
        assert await alike.run(connection, [(f"n{number}",) for number in range(25)]) == 25
        assert tuple((await connection.execute(SUM)).one()) == (25, 175)
    await database.close()


async def test_what_the_rows_of_one_call_have_in_common_is_given_once(tmp_path: Path) -> None:
    """It is bound by its number; of another call it is another, and each statement has its own."""
    together = SqliteInsert("INSERT INTO revisions (value, name)", 2, "ON CONFLICT DO NOTHING", shared=1)
    database = await Database.open(None, tmp_path)
    async with database.write() as connection:
        assert await together.run(connection, [(f"n{number}",) for number in range(25)], (7,)) == 25
        assert tuple((await connection.execute(SUM)).one()) == (25, 175)
        assert await together.run(connection, [(f"n{number}",) for number in range(20, 129)], (2,)) == 104
        assert tuple((await connection.execute(SUM)).one()) == (129, 383)
    await database.close()


async def test_errors_are_those_of_the_long_way(tmp_path: Path) -> None:
    """So that whoever retries, or halves a batch, need not know which way it went; and values stay out of them."""
    database = await Database.open(None, tmp_path)
    with pytest.raises(exc.IntegrityError) as refused:
        async with database.write() as connection:
            await run_sqlite(connection, f"{INTO} VALUES (?, ?), (?, ?)", ("secret", 1, "secret", 2))
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
