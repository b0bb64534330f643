"""Schema 5: what was spent before there were budgets is known to those that come."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.db import Database
from gateway.migrations.apply import MIGRATIONS, migrate
from gateway.migrations.ones.v0005_budgets import STATEMENTS
from tests.gateway.usage_rows import NOW_NS, make_row

BEFORE = MIGRATIONS.index(STATEMENTS)
SLOT = NOW_NS // (900 * 10**9)


@pytest.fixture
async def older(empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A database of the version before."""

    async def nothing(*_: object) -> None:
        """Stand in for migrate."""

    monkeypatch.setattr("gateway.db.migrate", nothing)
    database = await Database.open(empty_url, tmp_path)
    async with database.write() as connection:
        await migrate(connection, database.dialect, MIGRATIONS[:BEFORE])
    yield database
    await database.close()


async def test_old_rows_become_slots(older: Database) -> None:
    """By project and key, and by account where there is one."""
    async with older.write() as connection:
        await connection.execute(text("INSERT INTO accounts (account_id, name, created_ns) VALUES ('acct_1', 'a', 0)"))
        insert = "INSERT INTO projects (project_id, account_id, name, created_ns) VALUES (:p, 'acct_1', 'p', 0)"
        await connection.execute(text(insert), {"p": "proj_1"})
        # Fields are only ever added at the end; these are the ones of that version.
        names = make_row().__struct_fields__[:38]
        statement = text(f"INSERT INTO usage ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})")  # noqa: S608 - made of field names
        for project_id, cost in (("proj_1", 5), ("proj_1", 7), ("proj_2", 11), ("proj_1", 0)):
            row = make_row(project_id=project_id, key_id="key_1", cost_pusd=cost)
            await connection.execute(statement, {name: getattr(row, name) for name in names})
        await migrate(connection, older.dialect, MIGRATIONS[: BEFORE + 1])
    async with older.read() as connection:
        found = await connection.execute(text("SELECT scope, scope_id, slot, pusd FROM spend ORDER BY scope, scope_id"))
        assert [tuple(row) for row in found] == [
            ("account", "acct_1", SLOT, 12),
            ("key", "key_1", SLOT, 23),
            ("project", "proj_1", SLOT, 12),
            ("project", "proj_2", SLOT, 11),
        ]
