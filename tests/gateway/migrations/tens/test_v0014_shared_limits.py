"""Schema 14: keys that were made before count in limits of their own."""

from sqlalchemy import text

from gateway.accounts.keys import KeyDigester
from gateway.accounts.store import NewKey, create_key, find_or_create_project, read_changes
from gateway.db import Database
from gateway.migrations.tens.v0014_shared_limits import STATEMENTS


async def test_older_keys_count_by_themselves(database: Database) -> None:
    """Until they are made anew."""
    project = await find_or_create_project(database, "p", 1)
    await create_key(database, KeyDigester(bytes(32)), NewKey(project_id=project.project_id, requests_per_minute=5), 1)
    async with database.write() as connection:
        await connection.execute(text("ALTER TABLE keys DROP COLUMN limits_in"))
        for statement in STATEMENTS:
            await connection.execute(text(statement))
    _, rows = await read_changes(database, 0)
    assert [(row.requests_per_minute, row.limits_in) for row in rows if row.project_id == project.project_id] == [
        (5, None)
    ]
