"""Schema 4: what was there keeps working, unlimited, and a deleted project's name is free again."""

from pathlib import Path

import pytest
from sqlalchemy import exc, text

from gateway.accounts import store
from gateway.db import Database
from gateway.migrations import apply
from gateway.migrations.ones.v0004_control import STATEMENTS

BEFORE = (
    "INSERT INTO projects (project_id, name, created_ns) VALUES ('proj_1', 'default', 1)",
    "INSERT INTO keys (key_id, project_id, name, kind, is_managing, display, digest, scopes, created_ns, revision) "
    "VALUES ('key_1', 'proj_1', '', 'live', FALSE, 'lgw', '', '[]', 1, 1)",
    "UPDATE revisions SET value = 1 WHERE name = 'keys'",
)


async def test_a_key_of_the_version_before_is_limited_by_nothing(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator's project has no account and so no plan; its keys get neither limits nor tags."""
    before = apply.MIGRATIONS[: apply.MIGRATIONS.index(STATEMENTS)]
    with monkeypatch.context() as patched:
        patched.setattr(apply.migrate, "__defaults__", (before,))
        database = await Database.open(empty_url, tmp_path)
        async with database.write() as connection:
            for statement in BEFORE:
                await connection.execute(text(statement))
        await database.close()
    database = await Database.open(empty_url, tmp_path)
    _, changes = await store.read_changes(database, 0)
    assert [change.key_id for change in changes] == ["key_1"]
    for change in changes:
        assert (change.account_id, change.plan, change.rate_overrides, change.tags) == (None, None, None, ())
        assert (change.requests_per_minute, change.tokens_per_minute, change.max_concurrent) == (None, None, None)
    await database.close()


@pytest.mark.parametrize("account", [None, "acct_1"])
async def test_the_name_of_a_deleted_project_is_free(database: Database, account: str | None) -> None:
    """Names are unique among the projects that are there, the operator's and an account's alike."""
    insert = text("INSERT INTO projects (project_id, account_id, name, created_ns) VALUES (:id, :account, 'shop', 1)")
    async with database.write() as connection:
        await connection.execute(insert, {"id": "proj_1", "account": account})
        await connection.execute(text("UPDATE projects SET deleted_ns = 2"))
        await connection.execute(insert, {"id": "proj_2", "account": account})
    with pytest.raises(exc.IntegrityError):
        async with database.write() as connection:
            await connection.execute(insert, {"id": "proj_3", "account": account})
