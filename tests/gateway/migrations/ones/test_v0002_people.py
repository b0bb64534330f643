"""Schema 2: people's tables are there, and what is asked often is found by an index."""

import pytest
from sqlalchemy import exc, inspect, text

from gateway.db import Database

TABLES = {
    "accounts", "users", "members", "invitations", "sessions", "refresh_tokens", "claims", "audit_log"
}  # fmt: skip
AUDIT_PAGE = """
    SELECT audit_id FROM audit_log WHERE account_id = 'a' AND (created_ns, audit_id) < (9, 'x')
    ORDER BY created_ns DESC, audit_id DESC LIMIT 5
"""
QUERIES = {
    "members_by_user": "SELECT account_id FROM members WHERE user_id = 'u' ORDER BY joined_ns, account_id LIMIT 1",
    "sessions_by_user": "SELECT session_id FROM sessions WHERE user_id = 'u' AND account_id = 'a'",
    "sessions_by_start": "SELECT session_id FROM sessions WHERE created_ns < 5",
    "refresh_tokens_by_session": "SELECT digest FROM refresh_tokens WHERE session_id = 's'",
    "audit_log_by_account": AUDIT_PAGE,
}


async def test_the_tables_are_there(database: Database) -> None:
    """On both databases alike."""
    async with database.read() as connection:
        assert TABLES <= set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


@pytest.mark.parametrize("index", sorted(QUERIES))
async def test_what_is_asked_often_is_found_by_an_index(index: str, database: Database) -> None:
    """In its order, without looking at the other rows."""
    explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
    async with database.read() as connection:
        if database.dialect == "postgresql":
            # Of an empty table all ways cost about as much, and it depends on its statistics which comes first.
            for other in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
                await connection.execute(text(f"SET LOCAL enable_{other} = off"))
        plan = str((await connection.execute(text(f"{explain} {QUERIES[index]}"))).all())
    assert index in plan
    assert "Sort Key" not in plan
    assert "TEMP B-TREE" not in plan.upper()


async def test_a_session_needs_its_person(database: Database) -> None:
    """No session without an owner."""
    insert = text(
        "INSERT INTO sessions (session_id, user_id, account_id, cookie_digest, created_ns, seen_ns) "
        "VALUES ('s', 'nobody', 'nowhere', :digest, 1, 1)"
    )
    with pytest.raises(exc.IntegrityError):
        async with database.write() as connection:
            await connection.execute(insert, {"digest": bytes(32)})
