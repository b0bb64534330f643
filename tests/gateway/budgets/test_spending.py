"""What was spent: slots are written with the rows, once each, and rows that wait are counted too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from budget_world import ACCOUNT, KEY, PROJECT, make_budget, row_of, treasure
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets.budget import tag_scope_id
from gateway.budgets.spending import cost_of
from gateway.budgets.windows import ALWAYS
from gateway.db import Database, DatabaseUnavailable

SCOPES = {"account": ACCOUNT, "project": PROJECT, "key": KEY, "tag": tag_scope_id(ACCOUNT, "red")}


@pytest.mark.parametrize("folds", [True, False])
async def test_stored_and_waiting_rows_sum_up(database: Database, tmp_path: Path, folds: bool) -> None:
    """By account, project, key and tag, whether or not the database has them."""
    async with treasure(database, tmp_path, folds=folds) as house:
        for cost in (1, 20, 300):
            house.recorder.record(row_of(cost_pusd=cost, tags="red, blue"))
        house.recorder.record(row_of(cost_pusd=4_000))
        if folds:
            await house.recorder.flush()
        budgets = [make_budget(scope=scope, scope_id=scope_id) for scope, scope_id in SCOPES.items()]
        async with house.recorder.folding:
            sums = await house.treasury.spending.read(house.recorder, [(budget, ALWAYS) for budget in budgets])
        assert sums == [4_321, 4_321, 4_321, 321]


async def test_a_row_that_comes_as_the_database_has_answered_counts(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction's end is waited for: whoever is told the sum finds every row in it that is recorded by then."""
    read, rows = database.read, [row_of(cost_pusd=cost, key_id=key) for cost, key in ((7, KEY), (20, "key_new"))]

    @asynccontextmanager
    async def read_while_rows_come() -> AsyncIterator[AsyncConnection]:
        async with read() as connection:
            yield connection
        if rows:
            house.recorder.record(rows.pop())

    async with treasure(database, tmp_path, folds=False) as house:
        house.recorder.record(row_of(cost_pusd=300))
        wanted = [(make_budget(scope="account", scope_id=ACCOUNT), ALWAYS)]
        monkeypatch.setattr(database, "read", read_while_rows_come)
        async with house.recorder.folding:
            assert await house.treasury.spending.read(house.recorder, wanted) == [327]


async def test_a_row_that_is_stored_twice_counts_once(database: Database, tmp_path: Path) -> None:
    """As a journal that is read again does, with new rows beside it."""
    async with treasure(database, tmp_path) as house:
        again = row_of(cost_pusd=10)
        for rows in ([again], [again, row_of(cost_pusd=5)], [again, again]):
            for row in rows:
                house.recorder.record(row)
            await house.recorder.flush()
        async with database.read() as connection:
            asked = text("SELECT SUM(pusd) FROM spend WHERE scope = 'key'")
            assert (await connection.execute(asked)).scalar_one() == 15


async def test_an_answer_from_the_cache_spends_nothing(database: Database, tmp_path: Path) -> None:
    """Whatever its row says that it saved."""
    row = row_of(cost_pusd=7, is_cached=True)
    assert cost_of(row) == 0
    async with treasure(database, tmp_path) as house:
        house.recorder.record(row)
        await house.recorder.flush()
        async with house.recorder.folding:
            assert await house.treasury.spending.read(house.recorder, [(make_budget(), ALWAYS)]) == [0]


async def test_rows_that_only_the_disk_has_make_no_sum(database: Database, tmp_path: Path) -> None:
    """Nobody could tell it."""
    async with treasure(database, tmp_path, folds=False) as house:
        house.recorder._spilled = 1
        async with house.recorder.folding:
            with pytest.raises(DatabaseUnavailable):
                await house.treasury.spending.read(house.recorder, [(make_budget(), ALWAYS)])
        house.recorder._spilled = 0
