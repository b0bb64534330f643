"""The audit log: written with what it tells of, read in pages, never changed, and shortened by age alone."""

import re
from pathlib import Path

import pytest

from gateway.accounts.audit import (
    MAX_PAGE,
    Actor,
    AuditEntry,
    Deed,
    Occasion,
    append_entry,
    find_entry,
    note,
    purge,
    read_entries,
)
from gateway.db import Database

NOW_NS = 1_790_000_000_000_000_000
ACTOR = Actor(kind="key", actor_id="key_1", origin="192.0.2.7")
SOURCES = Path(__file__).parents[3] / "gateway"


async def append(database: Database, action: str, account_id: str | None = "acct_1", now_ns: int = NOW_NS) -> None:
    """Write an entry."""
    async with database.write() as connection:
        deed = Deed(account_id=account_id, action=action, object_id="proj_1", detail="why")
        await append_entry(connection, ACTOR, deed, now_ns)


async def read(database: Database, limit: int = 100, before: AuditEntry | None = None) -> list[AuditEntry]:
    """Read an account's entries."""
    async with database.read() as connection:
        return await read_entries(connection, "acct_1", limit, before)


async def test_an_entry_tells_who_what_when_and_from_where(database: Database) -> None:
    """All that was given."""
    await append(database, "project.delete")
    (entry,) = await read(database)
    assert entry == AuditEntry(
        audit_id=entry.audit_id,
        account_id="acct_1",
        actor_kind="key",
        actor_id="key_1",
        action="project.delete",
        object_id="proj_1",
        detail="why",
        origin="192.0.2.7",
        created_ns=NOW_NS,
    )


async def test_the_deeds_of_one_occasion_have_one_doer(database: Database) -> None:
    """Who, where and when are told once."""
    occasion = Occasion(actor=ACTOR, account_id="acct_1", now_ns=NOW_NS)
    async with database.write() as connection:
        await note(connection, occasion, "key.create", "key_2", "proxy")
        await note(connection, occasion, "key.revoke", "key_3")
    told = sorted((entry.action, entry.object_id, entry.detail) for entry in await read(database))
    assert told == [("key.create", "key_2", "proxy"), ("key.revoke", "key_3", "")]
    assert {(entry.actor_id, entry.origin, entry.created_ns) for entry in await read(database)} == {
        ("key_1", "192.0.2.7", NOW_NS)
    }


async def test_an_account_reads_its_own_entries(database: Database) -> None:
    """Not another's, and not those of no account."""
    for account_id in ("acct_2", None, "acct_1"):
        await append(database, f"of {account_id}", account_id)
    assert [entry.action for entry in await read(database)] == ["of acct_1"]


async def test_pages_neither_repeat_nor_skip(database: Database) -> None:
    """Newest first; entries of one moment as well."""
    for number in range(7):
        await append(database, str(number), now_ns=NOW_NS + number // 3)
    whole = await read(database)
    assert [entry.created_ns for entry in whole] == sorted((entry.created_ns for entry in whole), reverse=True)
    assert len(whole) == 7
    for limit in (1, 2, 3, 7, 8):
        pages: list[AuditEntry] = []
        while page := await read(database, limit, pages[-1] if pages else None):
            assert len(page) <= limit
            pages += page
        assert (limit, pages) == (limit, whole)


async def test_a_page_has_a_bound(database: Database) -> None:
    """Whatever is asked for."""
    async with database.write() as connection:
        deed = Deed(account_id="acct_1", action="a.b", object_id="")
        for number in range(MAX_PAGE + 1):
            await append_entry(connection, ACTOR, deed, NOW_NS + number)
    assert len(await read(database, 10**6)) == MAX_PAGE


async def test_what_is_of_no_account_is_read_apart(database: Database) -> None:
    """The operator's own log; an entry is found by its id in its own log alone."""
    async with database.write() as connection:
        for account_id in ("acct_1", None, None):
            await append_entry(connection, ACTOR, Deed(account_id=account_id, action="a.b", object_id="x"), NOW_NS)
    async with database.read() as connection:
        first, second = await read_entries(connection, None, 9)
        assert await read_entries(connection, None, 9, first) == [second]
        assert await find_entry(connection, None, first.audit_id) == first
        assert await find_entry(connection, "acct_1", first.audit_id) is None
        (own,) = await read_entries(connection, "acct_1", 9)
        assert await find_entry(connection, "acct_1", own.audit_id) == own
        assert await find_entry(connection, None, own.audit_id) is None


async def test_an_entry_goes_with_its_transaction(database: Database) -> None:
    """What did not happen is not told."""
    with pytest.raises(KeyError):
        async with database.write() as connection:
            await append_entry(connection, ACTOR, Deed(account_id="acct_1", action="a.b", object_id=""), NOW_NS)
            raise KeyError
    assert await read(database) == []


def test_no_statement_changes_the_log() -> None:
    """It is inserted into and read, and one statement deletes what is older than a moment."""
    verbs = re.compile(r"\b(INTO|UPDATE|FROM|TABLE|ON|TRUNCATE|DROP)\s+audit_log\b")
    texts = [path.read_text("utf-8") for path in SOURCES.rglob("*.py")]
    found = [verb for source in texts for verb in verbs.findall(source)]
    assert sorted(found) == ["FROM", "FROM", "FROM", "INTO", "ON", "ON", "TABLE"]
    assert sum(source.count("DELETE FROM audit_log") for source in texts) == 1


async def test_the_oldest_entries_are_deleted_first(database: Database) -> None:
    """No more than is asked for, none that is as young as the moment, of every account and of none."""
    for age in range(4):
        await append(database, f"age {age}", "acct_1" if age % 2 else None, NOW_NS - age)
    async with database.write() as connection:
        assert [await purge(connection, NOW_NS - 1, limit) for limit in (1, 9, 9)] == [1, 1, 0]
        of_account = await read_entries(connection, "acct_1", 9)
        of_nobody = await read_entries(connection, None, 9)
    assert [entry.action for entry in (*of_account, *of_nobody)] == ["age 1", "age 0"]
