"""Schema 3: it comes to a filled database, and has what credentials need."""

from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from gateway.db import Database
from gateway.migrations import apply
from gateway.migrations.ones.v0003_credentials import STATEMENTS

BEHIND = "SELECT credential_id FROM credentials WHERE credential_id > 'a' ORDER BY credential_id LIMIT 5"
CHANGES = "SELECT credential_id FROM credentials WHERE revision > 1 ORDER BY revision"


async def test_it_comes_to_a_database_of_the_version_before(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there stays, and caches begin at revision 0."""
    before = apply.MIGRATIONS[: apply.MIGRATIONS.index(STATEMENTS)]
    with monkeypatch.context() as patched:
        patched.setattr(apply.migrate, "__defaults__", (before,))
        database = await Database.open(empty_url, tmp_path)
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO projects (project_id, name, created_ns) VALUES ('p', 'n', 1)"))
        await database.close()
    database = await Database.open(empty_url, tmp_path)
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT project_id FROM projects"))).scalar_one() == "p"
        revisions = await connection.execute(
            text("SELECT name, value FROM revisions WHERE name IN ('credentials', 'vault') ORDER BY name")
        )
        assert [tuple(row) for row in revisions] == [("credentials", 0), ("vault", 1)]
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert "credentials" in tables
    await database.close()


@pytest.mark.parametrize("query", [BEHIND, CHANGES], ids=["behind", "changes"])
async def test_rows_are_read_in_order_by_an_index(database: Database, query: str) -> None:
    """Neither a cache's poll nor a rotation's batch looks at every row."""
    explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
    async with database.read() as connection:
        if database.dialect == "postgresql":
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            await connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        plan = str((await connection.execute(text(f"{explain} {query}"))).all()).upper()
    assert "INDEX" in plan
    assert "SORT" not in plan
    assert "TEMP B-TREE" not in plan
