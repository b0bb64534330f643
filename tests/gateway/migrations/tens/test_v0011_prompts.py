"""Schema 11: it comes to a database that is in use, and begins with nobody's prompts being kept."""

from sqlalchemy import text

from gateway.accounts.store import find_or_create_project
from gateway.db import Database
from gateway.migrations.apply import WORDS
from gateway.migrations.tens import v0011_prompts
from gateway.prompts import store


async def test_nobodys_prompts_are_kept_after_an_upgrade(database: Database) -> None:
    """Whatever projects there are."""
    project_id = (await find_or_create_project(database, "older", 1)).project_id
    async with database.write() as connection:
        for statement in ("DROP TABLE prompts", "DROP TABLE prompt_settings", "DROP INDEX audit_log_by_age",
                          "DELETE FROM revisions WHERE name = 'prompts'"):  # fmt: skip
            await connection.execute(text(statement))
        for statement in v0011_prompts.STATEMENTS:
            await connection.execute(text(statement.format(**WORDS[connection.dialect.name])))  # type: ignore[index]
        assert await store.read_changes(connection, -1) == (0, [])
        assert (await store.read_setting(connection, project_id)).retention_days is None
