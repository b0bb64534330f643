"""Schema 11: a key that was there wants of the cache what its project wants."""

from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.accounts import store
from gateway.db import Database
from gateway.migrations import apply
from gateway.migrations.v0011_key_cache import STATEMENTS
from tests.gateway.migrations.test_v0004_control import BEFORE


async def test_a_key_of_the_version_before_wants_nothing_of_its_own(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either database."""
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
    assert [(change.key_id, change.cache) for change in changes] == [("key_1", None)]
    await database.close()
