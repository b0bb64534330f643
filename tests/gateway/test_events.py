"""The outbox: an event stands with its transaction, and once where it says so."""

import pytest
from sqlalchemy import text

from gateway.db import Database
from gateway.events import Event, append_event


def make_event(once: str | None = None) -> Event:
    """An event of an account."""
    return Event(name="n", account_id="acct_1", payload={"a": 1}, once=once, created_ns=5)


async def test_an_event_is_written_once(database: Database) -> None:
    """Those that say what they are of stand once, others each time."""
    async with database.write() as connection:
        written = [await append_event(connection, make_event(once)) for once in ("x", "x", "y", None, None)]
    assert written == [True, False, True, True, True]
    async with database.read() as connection:
        rows = (await connection.execute(text("SELECT name, payload, delivered_ns FROM events"))).all()
    assert [tuple(row) for row in rows] == [("n", '{"a":1}', None)] * 4


async def test_an_event_goes_with_its_transaction(database: Database) -> None:
    """What was not done has not happened."""
    with pytest.raises(ZeroDivisionError):
        async with database.write() as connection:
            await append_event(connection, make_event())
            raise ZeroDivisionError
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT COUNT(*) FROM events"))).scalar_one() == 0
