"""Schema 12: corrections that were booked before changed nothing of what prompt caches saved."""

from sqlalchemy import text

from gateway.db import Database
from gateway.ledger.store import insert_rows
from gateway.migrations.tens.v0012_prompt_savings import STATEMENTS
from tests.gateway.usage_rows import make_row


async def test_older_corrections_changed_no_savings(database: Database) -> None:
    """Until the next re-rating looks at their rows."""
    row = make_row()
    async with database.write() as connection:
        await insert_rows(connection, [row])
        await connection.execute(text("ALTER TABLE corrections DROP COLUMN prompt_saved_delta_pusd"))
        older = text("INSERT INTO corrections VALUES (:id, 0, 5, 'operator', 'p', 1)")
        await connection.execute(older, {"id": row.request_id})
        for statement in STATEMENTS:
            await connection.execute(text(statement))
        found = await connection.execute(text("SELECT delta_pusd, prompt_saved_delta_pusd FROM corrections"))
        assert [tuple(each) for each in found] == [(5, 0)]
