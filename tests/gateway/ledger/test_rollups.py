"""Sums that are kept: once for every row, whoever stores it and whenever."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.db import Database
from gateway.ledger import alike, rollups, store
from gateway.ledger.alike import Batch
from gateway.ledger.rollups import KEY, MEASURES, SPANS, fold_history, sum_days, sum_rows, write_sums
from gateway.ledger.row import UsageRow
from tests.gateway.ledger.test_sums import ROWS
from tests.gateway.usage_rows import NOW_NS, make_history, make_row

COLUMNS = ", ".join((*KEY, *MEASURES))


async def read_kept(database: Database) -> list[tuple[Any, ...]]:
    """All sums that are kept."""
    async with database.read() as connection:
        found = await connection.execute(text(f"SELECT {COLUMNS} FROM usage_rollups"))  # noqa: S608 - constants
        return sorted(tuple(row) for row in found)


async def read_days(database: Database) -> list[tuple[Any, ...]]:
    """The sums of whole projects by day."""
    columns = ", ".join(("project_id", "start_ns", *MEASURES))
    async with database.read() as connection:
        found = await connection.execute(text(f"SELECT {columns} FROM usage_days"))  # noqa: S608 - constants
        return sorted(tuple(row) for row in found)


async def sum_by_statement(database: Database) -> list[tuple[Any, ...]]:
    """The sums that the stored rows have by the statement for the history."""
    async with database.read() as connection:
        found = await connection.execute(text(write_sums("FROM usage")))
        return sorted((*row[: len(KEY)], *(int(value) for value in row[len(KEY) :])) for row in found)


async def forget(database: Database, *, rows: bool = False) -> None:
    """Make the rows a history that was never summed up, or delete them as well."""
    async with database.write() as connection:
        for table in ("usage_rollups", "usage_days"):
            await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - constants
        if rows:
            await connection.execute(text("DELETE FROM usage"))
            await connection.execute(text("UPDATE rollup_state SET rolled_from = ''"))
    if not rows:
        await make_history(database)


async def insert(database: Database, *rows: UsageRow) -> None:
    """Store rows."""
    async with database.write() as connection:
        await store.insert_rows(connection, rows)


@settings(max_examples=16, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ROWS, split=st.integers(0, 30), page=st.integers(1, 7), late=st.integers(0, 5), few=st.sampled_from((1, 20))
)
async def test_history_and_new_rows_make_the_same_sums(  # noqa: PLR0917 - what is drawn
    database: Database, rows: list[UsageRow], split: int, page: int, late: int, few: int
) -> None:
    """Rows that were there before, rows that come while those are summed up and rows after: each counts once.

    It is the same whether they are summed up together or one by one.
    """
    await forget(database, rows=True)
    await insert(database, *rows[:split])
    await forget(database)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rollups, "HISTORY_ROWS", page)
        patched.setattr(alike, "FEW", few)
        for _ in range(late):
            await fold_history(database)
        await insert(database, *rows[split:], *rows[:3])
        while await fold_history(database):
            pass
    await insert(database, *rows)
    assert await read_kept(database) == await sum_by_statement(database) == sorted(sum_rows(Batch([], rows)))
    assert await read_days(database) == sum_days(sum_rows(Batch([], rows)))


async def test_a_fresh_database_has_no_history(database: Database) -> None:
    """Nothing is left to sum up, and rows are from the first on."""
    assert not await fold_history(database)
    await insert(database, make_row())
    assert len(await read_kept(database)) == len(SPANS)


async def test_rows_that_are_refused_leave_no_sums(database: Database) -> None:
    """Both are in one transaction."""
    with pytest.raises(ZeroDivisionError):
        async with database.write() as connection:
            await store.insert_rows(connection, [make_row()])
            raise ZeroDivisionError
    assert await read_kept(database) == []


async def test_names_that_differ_by_what_a_database_cannot_store_are_one(database: Database) -> None:
    """PostgreSQL has no NUL; a caller may name a model with one."""
    await insert(database, make_row(model="a\0"), make_row(model="a\ufffd"), make_row(model="a\0"))
    assert await read_kept(database) == await sum_by_statement(database)


async def test_many_writers_wait_for_each_other_and_never_for_themselves(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Batches that touch the same sums in another order, from two openings of one database, with a history."""
    second = await Database.open(database_url, tmp_path)
    await insert(database, *(make_row(NOW_NS + number, key_id=f"k{number % 9}") for number in range(60)))
    await forget(database)
    await second.close()

    async def write(writer: Database, turn: int) -> None:
        for number in range(10):
            keys = [f"k{(turn * 5 + number * each) % 9}" for each in range(1, 9)]
            await insert(writer, *(make_row(NOW_NS + number, key_id=key) for key in keys))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rollups, "HISTORY_ROWS", 7)
        await asyncio.gather(write(database, 1), write(second, 2), *(fold_history(second) for _ in range(4)))
        while await fold_history(database):
            pass
    await second.close()
    assert await read_kept(database) == await sum_by_statement(database)
