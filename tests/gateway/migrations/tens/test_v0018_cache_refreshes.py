"""Schema 18: a request is refreshed at one time."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from gateway.db import Database

INSERT = text("INSERT INTO cache_refreshes VALUES (:key, :created_ns, 1)")


async def test_a_request_is_noted_once(database: Database) -> None:
    """Its latest time takes the place of the one before."""
    for key in (b"k", b"o"):
        async with database.write() as connection:
            await connection.execute(INSERT, {"key": key, "created_ns": 1})
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(INSERT, {"key": b"k", "created_ns": 2})
