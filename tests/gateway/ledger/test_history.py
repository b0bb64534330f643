"""What was stored before there were sums is summed up beside the calls, whatever comes between."""

import asyncio

import pytest
from sqlalchemy import text

from gateway.db import Database, DatabaseUnavailable
from gateway.ledger import history, rollups, store
from gateway.ledger.history import History
from gateway.ledger.rollups import read_rolled
from tests.gateway.usage_rows import NOW_NS, make_history, make_row


async def test_a_history_is_summed_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Piece by piece, through a time without the database, and again after a stop."""
    monkeypatch.setattr(rollups, "HISTORY_ROWS", 3)
    monkeypatch.setattr(history, "PAUSE_MS", 1)
    monkeypatch.setattr(history, "AWAY_PAUSE_MS", 1)
    async with database.write() as connection:
        await store.insert_rows(connection, [make_row(NOW_NS + number) for number in range(20)])
        await connection.execute(text("DELETE FROM usage_rollups"))
        await connection.execute(text("DELETE FROM usage_days"))
    await make_history(database)
    fold, turns = rollups.fold_history, 0

    async def fold_sometimes(database: Database) -> bool:
        nonlocal turns
        turns += 1
        if turns == 2:
            raise DatabaseUnavailable("away")
        return await fold(database)

    monkeypatch.setattr(history, "fold_history", fold_sometimes)
    first = History(database)
    first.start()
    while turns < 3:
        await asyncio.sleep(0.001)
    await first.close()
    second = History(database)
    second.start()
    async with asyncio.timeout(10):
        while True:
            async with database.read() as connection:
                if await read_rolled(connection, locks=False) == "":
                    break
            await asyncio.sleep(0.005)
    await second.close()
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT SUM(requests) FROM usage_rollups"))).scalar_one() == 3 * 20


async def test_what_never_began_ends(database: Database) -> None:
    """As after a start that failed."""
    await History(database).close()
