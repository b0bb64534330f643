"""Schema 13: a call and an entry are noted once for a project."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from gateway.db import Database

INSERT = text("INSERT INTO cache_parts VALUES (:project_id, 'ce_1', 'r1', 1)")


async def test_a_part_is_noted_once(database: Database) -> None:
    """Of another project it is another."""
    async with database.write() as connection:
        for project_id in ("p", "q"):
            await connection.execute(INSERT, {"project_id": project_id})
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(INSERT, {"project_id": "p"})
