"""The SQL of credentials: what is stored where, what caches read of it, and that two of a kind are not active."""

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts import credentials_store as store
from gateway.accounts.credentials_store import CredentialListing
from gateway.accounts.store import find_or_create_project
from gateway.accounts.vault import KEY_NAME_BYTES
from gateway.db import Database

NOW_NS = 1_790_000_000_000_000_000
KEY_A, KEY_B = b"a" * KEY_NAME_BYTES, b"b" * KEY_NAME_BYTES


async def add(connection: AsyncConnection, credential_id: str, seal: bytes = KEY_A, **changes: object) -> bool:
    """Insert a credential of the operator's."""
    listing = CredentialListing(
        credential_id=credential_id,
        project_id=None,
        provider=f"provider of {credential_id}",
        name="n",
        display="d",
        base_url="http://h",
        created_ns=NOW_NS,
    )
    revision = await store.take_revision(connection)
    return await store.insert_credential(connection, msgspec.structs.replace(listing, **changes), seal, revision)


async def test_an_owner_has_one_active_credential_a_provider(database: Database) -> None:
    """Of a project's and of the operator's own; a disabled or deleted one makes room."""
    project_id = (await find_or_create_project(database, "p", NOW_NS)).project_id
    async with database.write() as connection:
        for owner in (None, project_id):
            assert await add(connection, f"1 {owner}", project_id=owner, provider="openai")
            assert not await add(connection, f"2 {owner}", project_id=owner, provider="openai")
            assert await store.find_active(connection, owner, "openai") == f"1 {owner}"
            await store.disable_credential(connection, f"1 {owner}", NOW_NS, await store.take_revision(connection))
            assert await add(connection, f"2 {owner}", project_id=owner, provider="openai")
            await store.delete_credential(connection, f"2 {owner}", NOW_NS, await store.take_revision(connection))
            assert await add(connection, f"3 {owner}", project_id=owner, provider="openai")
            assert await add(connection, f"4 {owner}", project_id=owner, provider="groq")


async def test_a_credential_belongs_to_a_project_that_there_is(database: Database) -> None:
    """No credential of nobody."""
    with pytest.raises(exc.IntegrityError):
        async with database.write() as connection:
            await add(connection, "c", project_id="proj_nowhere")


async def test_a_deleted_credential_leaves_nothing_but_that_it_was(database: Database) -> None:
    """Not even the encrypted secret; the row tells caches that it is gone."""
    async with database.write() as connection:
        await add(connection, "c", KEY_A + b"canary")
        await store.delete_credential(connection, "c", NOW_NS + 1, await store.take_revision(connection))
        row = (await connection.execute(text("SELECT * FROM credentials"))).mappings().one()
        revision, (change,) = await store.read_changes(connection, 1)
    assert (row["secret"], row["display"], row["base_url"], row["name"]) == (None, "", None, "")
    assert row["deleted_ns"] == NOW_NS + 1
    assert (revision, change.credential_id, change.secret) == (2, "c", None)


async def test_a_secret_is_there_exactly_while_the_credential_is(database: Database) -> None:
    """The database itself refuses the rest."""
    async with database.write() as connection:
        await add(connection, "c")
    for statement in ("SET secret = NULL", "SET deleted_ns = 1"):
        with pytest.raises(exc.IntegrityError):
            async with database.write() as connection:
                await connection.execute(text(f"UPDATE credentials {statement}"))


async def test_changes_are_read_from_where_one_stands(database: Database) -> None:
    """In their order, each once."""
    async with database.write() as connection:
        for credential_id in ("c", "a", "b"):
            await add(connection, credential_id)
        await store.disable_credential(connection, "c", NOW_NS, await store.take_revision(connection))
        seen, changes = await store.read_changes(connection, 1)
        assert [change.credential_id for change in changes] == ["a", "b", "c"]
        assert [change.disabled_ns for change in changes] == [None, None, NOW_NS]
        assert await store.read_changes(connection, seen) == (4, [])
        assert await store.read_changes(connection, seen + 5) == (4, [])


async def test_what_changes_while_changes_are_read_is_not_missed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that has just begun knows every credential, as it was or as it is."""
    execute, executed = AsyncConnection.execute, 0

    async def execute_then_change(*arguments: Any) -> Any:
        nonlocal executed
        executed += 1
        result = await execute(*arguments)
        if executed == 1:
            async with database.write() as connection:
                await store.disable_credential(connection, "c", NOW_NS, await store.take_revision(connection))
        return result

    async with database.write() as connection:
        await add(connection, "c")
    async with database.read() as connection:
        monkeypatch.setattr(AsyncConnection, "execute", execute_then_change)
        seen, (first,) = await store.read_changes(connection, 0)
    async with database.read() as connection:
        revision, later = await store.read_changes(connection, seen)
    assert (first.credential_id, revision) == ("c", 2)
    assert [first, *later][-1].disabled_ns == NOW_NS


async def test_what_is_behind_is_read_in_pages(database: Database) -> None:
    """By id, without what has the newest key, what is deleted, or what was read before."""
    async with database.write() as connection:
        for credential_id, seal in (("a", KEY_A), ("b", KEY_B), ("c", KEY_A), ("d", KEY_A), ("e", KEY_A)):
            await add(connection, credential_id, seal + b"rest")
        await store.delete_credential(connection, "c", NOW_NS, await store.take_revision(connection))
        pages = [await store.read_behind(connection, KEY_B, after, 2) for after in ("", "d", "e")]
        assert [[row.credential_id for row in page] for page in pages] == [["a", "d"], ["e"], []]
        counts = await store.count_by_key(connection)
    assert [(count.key_name, count.credentials) for count in counts] == [(KEY_A, 3), (KEY_B, 1)]


async def test_a_seal_is_replaced_only_where_it_is_the_one_that_was_read(database: Database) -> None:
    """A new secret that came in between stays."""
    async with database.write() as connection:
        await add(connection, "c", KEY_A + b"found")
        (found,) = await store.read_behind(connection, KEY_B, "", 9)
        assert await store.replace_seal(connection, found, KEY_A + b"fresh")
        assert not await store.replace_seal(connection, found, KEY_A + b"late")
        assert not await store.discard(connection, found, NOW_NS, 9)
        (now,) = await store.read_behind(connection, KEY_B, "", 9)
        assert now.secret == KEY_A + b"fresh"
        assert await store.discard(connection, now, NOW_NS, 9)
        assert await store.count_by_key(connection) == []


async def test_the_last_use_only_moves_forwards(database: Database) -> None:
    """Batches of several processes arrive in any order."""
    async with database.write() as connection:
        await add(connection, "c")
        for used_ns in (NOW_NS + 5, NOW_NS + 3):
            await store.note_used(connection, {"c": used_ns, "cred_unknown": used_ns})
        (listed,) = await store.list_credentials(connection, None)
    assert listed.last_used_ns == NOW_NS + 5


async def test_revisions_are_taken_one_after_another(database: Database) -> None:
    """Who holds one is alone until the commit, so nobody reads past a change that is still to come."""
    taken: list[int] = []

    async def take() -> None:
        async with database.write() as connection:
            taken.append(await store.take_revision(connection))

    await asyncio.gather(*(take() for _ in range(5)))
    assert sorted(taken) == [1, 2, 3, 4, 5]


async def test_the_version_of_the_key_begins_at_one(database: Database) -> None:
    """And only moves forwards."""
    async with database.write() as connection:
        assert await store.read_version(connection) == 1
        assert await store.take_version(connection) == 2
        assert await store.read_version(connection) == 2
