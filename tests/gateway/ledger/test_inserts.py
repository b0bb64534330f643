"""Many rows in few statements, each once, however they fall into them."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import Database
from gateway.ledger import inserts
from gateway.ledger.inserts import SqliteInsert

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


async def test_what_the_rows_of_a_part_have_in_common_is_given_once(tmp_path: Path) -> None:
    """It is bound by its number, and every part has its own."""
    together = SqliteInsert("INSERT INTO revisions (value, name)", 2, "ON CONFLICT DO NOTHING", shared=1)
    database = await Database.open(None, tmp_path)
    async with database.write() as connection:
        first, second = [(f"n{number}",) for number in range(25)], [(f"n{number}",) for number in range(25, 134)]
        assert await together.run_parts(connection, [((7,), first), ((2,), second), ((1,), [])]) == 134
        assert tuple((await connection.execute(SUM)).one()) == (134, 393)
    await database.close()


async def test_parts_take_no_more_statements_than_rows_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of the driver is asked once for each number of rows of a statement."""
    together = SqliteInsert("INSERT INTO revisions (value, name)", 2, "ON CONFLICT DO NOTHING", shared=1)
    asked: list[int] = []
    run_often = inserts.run_sqlite_often

    async def count(connection: AsyncConnection, statement: str, values: Any) -> None:
        asked.append(len(values))
        await run_often(connection, statement, values)

    monkeypatch.setattr(inserts, "run_sqlite_often", count)
    database = await Database.open(None, tmp_path)
    async with database.write() as connection:
        parts = [((part,), [(f"n{part}.{number}",) for number in range(126)]) for part in range(30)]
        assert await together.run_parts(connection, parts) == 30 * 126
    # 126 = 100 + 20 + 4 + 1 + 1
    assert asked == [30, 30, 30, 60]
    await database.close()
