"""The feed: what was stored, in the order in which it was, and no more of it than anybody needs."""

import pytest

from gateway.db import Database
from gateway.ledger import feed, store
from gateway.ledger.feed import read_ends, read_entries, read_missed
from tests.gateway.usage_rows import make_row


async def insert(database: Database, count: int = 1) -> list[str]:
    """Store rows in one transaction; their ids."""
    rows = [make_row() for _ in range(count)]
    async with database.write() as connection:
        await store.insert_rows(connection, rows)
        await store.insert_rows(connection, rows)
    return [row.request_id for row in rows]


async def test_each_transaction_is_an_entry(database: Database) -> None:
    """With what it stored for the first time; nothing stored is none."""
    async with database.read() as connection:
        assert await read_ends(connection) == (0, 0)
    ids = [await insert(database, 2), await insert(database)]
    async with database.read() as connection:
        entries = await read_entries(connection, 0, 10)
        assert [list(entry.request_ids) for entry in entries] == ids
        first, second = (entry.number for entry in entries)
        assert await read_ends(connection) == (first, second)
        assert await read_entries(connection, first, 10) == entries[1:]
        assert await read_entries(connection, 0, 1) == entries[:1]
        assert await read_missed(connection, {second, 999}) == entries[1:]
        assert await read_missed(connection, ()) == []


async def test_many_rows_are_several_entries(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that whoever reads a number of entries knows how many rows that can be."""
    monkeypatch.setattr(feed, "MAX_ENTRY_ROWS", 3)
    ids = await insert(database, 7)
    async with database.read() as connection:
        entries = await read_entries(connection, 0, 10)
    assert [list(entry.request_ids) for entry in entries] == [ids[:3], ids[3:6], ids[6:]]


async def test_old_entries_go(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are never used again."""
    monkeypatch.setattr(feed, "MAX_ENTRIES", 2)
    for _ in range(4):
        await insert(database)
    async with database.read() as connection:
        first, last = await read_ends(connection)
    assert last - first == 1
