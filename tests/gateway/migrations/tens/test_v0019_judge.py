"""Schema 19: what was set and decided before knows of no judge."""

from sqlalchemy import text

from gateway.caching import store
from gateway.db import Database

DECISION = text(
    "INSERT INTO cache_decisions (request_id, project_id, decision, entry_id, similarity, score, threshold, guards, "
    "neighbours, question, is_right, created_ns) VALUES ('r', 'p', 'serve', 'ce_1', 1, 1, 1, '', '', '', NULL, 1)"
)
PROJECT = text("INSERT INTO projects (project_id, name, created_ns) VALUES ('p', 'p', 1)")
SETTINGS = text("INSERT INTO cache_settings (project_id, revision, mode) VALUES ('p', 1, 'exact')")


async def test_what_does_not_name_a_judge_has_none(database: Database) -> None:
    """Neither a decision nor a project's settings."""
    async with database.write() as connection:
        await connection.execute(DECISION)
        await connection.execute(PROJECT)
        await connection.execute(SETTINGS)
        judged_by = await connection.execute(text("SELECT judged_by FROM cache_decisions"))
        assert judged_by.scalar_one() == ""
        assert (await store.read_wishes(connection, "p")).semantic_judge_model is None
