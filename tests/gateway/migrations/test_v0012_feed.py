"""Schema 12: the feed is there and empty, and counts up."""

from sqlalchemy import text

from gateway.db import Database


async def test_entries_are_numbered(database: Database) -> None:
    """By the database itself, and not from the beginning once old ones are gone."""
    add = text("INSERT INTO usage_feed (request_ids) VALUES ('a') RETURNING number")
    async with database.write() as connection:
        assert (await connection.execute(text("SELECT * FROM usage_feed"))).all() == []
        first = (await connection.execute(add)).scalar_one()
        await connection.execute(text("DELETE FROM usage_feed"))
        assert (await connection.execute(add)).scalar_one() == first + 1
