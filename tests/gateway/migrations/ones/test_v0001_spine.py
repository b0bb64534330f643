"""Schema 1: it has a place for all that a usage row holds."""

import msgspec
from sqlalchemy import inspect, text

from gateway.db import Database
from gateway.ledger.row import UsageRow

QUERY = """
    SELECT request_id FROM usage WHERE project_id = 'p' AND created_ns >= 1 AND created_ns < 9
    ORDER BY created_ns DESC, request_id DESC LIMIT 5
"""
TABLES = {"projects", "keys", "revisions", "usage", "schema_version"}


async def test_every_field_of_a_usage_row_has_its_column(database: Database) -> None:
    """A field that is added to the row needs a migration."""
    async with database.read() as connection:
        columns = await connection.run_sync(lambda sync: inspect(sync).get_columns("usage"))
    assert [column["name"] for column in columns] == [field.name for field in msgspec.structs.fields(UsageRow)]


async def test_the_tables_are_there(database: Database) -> None:
    """On both databases alike."""
    async with database.read() as connection:
        assert TABLES <= set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_a_page_of_usage_is_found_by_an_index(database: Database) -> None:
    """The newest rows of a project are read in order, without looking at the others."""
    explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
    async with database.read() as connection:
        if database.dialect == "postgresql":
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = str((await connection.execute(text(f"{explain} {QUERY}"))).all())
    assert "usage_by_project" in plan
    assert "SORT" not in plan.upper().replace("SORTED", "")
    assert "TEMP B-TREE" not in plan.upper()
