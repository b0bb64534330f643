"""Schema 15: keys that were made before count in budgets of their own."""

from sqlalchemy import text

from gateway.accounts.keys import KeyDigester
from gateway.accounts.store import NewKey, create_key, find_or_create_project, read_changes
from gateway.db import Database
from gateway.migrations.tens.v0015_makers_budgets import STATEMENTS


async def test_older_keys_count_by_themselves(database: Database) -> None:
    """What they spent so far was counted nowhere else."""
    project = await find_or_create_project(database, "p", 1)
    wanted = NewKey(project_id=project.project_id, spends_in=("key_1",))
    await create_key(database, KeyDigester(bytes(32)), wanted, 1)
    async with database.write() as connection:
        await connection.execute(text("ALTER TABLE keys DROP COLUMN spends_in"))
        for statement in STATEMENTS:
            await connection.execute(text(statement))
    _, rows = await read_changes(database, 0)
    assert [row.spends_in for row in rows if row.project_id == project.project_id] == [()]
