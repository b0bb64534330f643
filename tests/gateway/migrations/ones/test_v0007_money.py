"""Schema 7: keys that were rotated before are a line, and what they spent is the line's."""

from pathlib import Path

from sqlalchemy import text

from gateway.db import Database
from gateway.migrations.apply import MIGRATIONS, migrate
from gateway.migrations.ones.v0007_money import STATEMENTS

BEFORE = MIGRATIONS.index(STATEMENTS)
KEYS = {"a": None, "b": "a", "c": "b", "other": None}


async def test_rotated_keys_become_a_line(empty_url: str, tmp_path: Path) -> None:
    """By their first key, where a successor replaced one; sums of one slot are added up."""
    database = await Database.open(empty_url, tmp_path)
    async with database.write() as connection:
        # Back to the version before.
        for statement in (
            "DROP TABLE usage_days",
            "ALTER TABLE keys DROP COLUMN root_id",
            "DELETE FROM revisions WHERE name = 'corrections'",
            f"UPDATE schema_version SET version = {BEFORE}",  # noqa: S608 - a number
            "INSERT INTO projects (project_id, name, created_ns) VALUES ('p', 'p', 0)",
        ):
            await connection.execute(text(statement))
        for key_id, replaces in KEYS.items():
            await connection.execute(
                text(
                    "INSERT INTO keys (key_id, project_id, name, kind, is_managing, display, digest, scopes, "
                    "created_ns, revision, replaces) "
                    "VALUES (:id, 'p', '', 'live', false, '', :digest, '[]', 0, 0, :old)"
                ),
                {"id": key_id, "digest": key_id.encode(), "old": replaces},
            )
            for slot in (1, 2) if key_id != "b" else (2,):
                insert = "INSERT INTO spend (scope, scope_id, slot, pusd) VALUES ('key', :id, :slot, 10)"
                await connection.execute(text(insert), {"id": key_id, "slot": slot})
        await migrate(connection, database.dialect, MIGRATIONS[: BEFORE + 1])
    async with database.read() as connection:
        roots = await connection.execute(text("SELECT key_id, root_id FROM keys ORDER BY key_id"))
        assert dict(tuple(row) for row in roots) == {"a": None, "b": "a", "c": "a", "other": None}
        spend = await connection.execute(text("SELECT scope_id, slot, pusd FROM spend ORDER BY scope_id, slot"))
        assert [tuple(row) for row in spend] == [("a", 1, 20), ("a", 2, 30), ("other", 1, 10), ("other", 2, 10)]
    await database.close()
