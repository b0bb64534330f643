"""Projects and keys in the database."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import exc, text

from gateway.accounts import store
from gateway.accounts.keys import KeyDigester, display_of, is_well_formed
from gateway.accounts.store import NewKey, ProjectExists
from gateway.db import Database
from gateway.ids import parse_id

NOW_NS = 1_790_000_000_000_000_000
DIGESTER = KeyDigester(bytes(32))


async def make_key(database: Database, **wanted: object) -> store.MadeKey:
    """Make a key in project ``p``."""
    project = await store.find_or_create_project(database, "p", NOW_NS)
    return await store.create_key(database, DIGESTER, NewKey(project_id=project.project_id, **wanted), NOW_NS)  # type: ignore[arg-type]


async def test_a_made_key_is_listed_without_its_text(database: Database) -> None:
    """Only the start that may be shown, and no digest."""
    made = await make_key(
        database, name="ci", is_managing=True, allowed_models=frozenset({"b", "a"}), expires_ns=NOW_NS + 5
    )
    listed = await store.list_keys(database)
    assert listed == [
        store.KeyListing(
            key_id=made.key_id,
            project_id=made.project_id,
            project_name="p",
            name="ci",
            kind="live",
            is_managing=True,
            display=display_of(made.key),
            scopes=frozenset({"proxy", "usage:read"}),
            allowed_models=frozenset({"a", "b"}),
            expires_ns=NOW_NS + 5,
            revoked_ns=None,
            created_ns=NOW_NS,
            last_used_ns=None,
        )
    ]


async def test_ids_are_of_their_kind(database: Database) -> None:
    """proj_ and key_ before an id that every surface can spell (row C4)."""
    made = await make_key(database, kind="test")
    assert made.key.startswith("lgw_test_")
    assert is_well_formed(made.key)
    assert made.project_id == f"proj_{parse_id(made.project_id)}"
    assert made.key_id == f"key_{parse_id(made.key_id)}"


async def test_the_text_of_a_key_is_nowhere_in_the_database(database: Database, tmp_path: Path) -> None:
    """A stolen copy of the database calls nothing."""
    made = await make_key(database)
    async with database.read() as connection:
        rows = str((await connection.execute(text("SELECT * FROM keys"))).all())
    assert made.key not in rows
    assert made.key[12:] not in rows
    assert all(made.key.encode() not in path.read_bytes() for path in tmp_path.iterdir())


async def test_a_project_is_made_once(database: Database) -> None:
    """Finding and making race for nothing."""
    found = await asyncio.gather(*(store.find_or_create_project(database, "p", NOW_NS) for _ in range(5)))
    assert len({project.project_id for project in found}) == 1


async def test_a_taken_name_is_told(database: Database) -> None:
    """Two projects of one name could not be told apart."""
    made = await store.create_project(database, "p", "openai", NOW_NS)
    with pytest.raises(ProjectExists, match="'p'"):
        await store.create_project(database, "p", None, NOW_NS)
    assert await store.find_or_create_project(database, "p", NOW_NS + 1) == made


async def test_a_key_needs_its_project(database: Database) -> None:
    """No key without an owner."""
    with pytest.raises(exc.IntegrityError):
        await store.create_key(database, DIGESTER, NewKey(project_id="proj_nowhere"), NOW_NS)


async def test_a_key_is_revoked_once(database: Database) -> None:
    """The first moment stays; an unknown id is told."""
    made = await make_key(database)
    assert await store.revoke_key(database, made.key_id, NOW_NS + 1)
    assert await store.revoke_key(database, made.key_id, NOW_NS + 2)
    assert not await store.revoke_key(database, "key_unknown", NOW_NS)
    assert [key.revoked_ns for key in await store.list_keys(database)] == [NOW_NS + 1]


async def test_with_a_key_go_those_that_it_made(database: Database) -> None:
    """Revoked on the command line too, down to the last; others stay."""
    first = await make_key(database)
    second = await make_key(database, made_by=first.key_id)
    third = await make_key(database, made_by=second.key_id)
    await make_key(database)
    assert await store.revoke_key(database, first.key_id, NOW_NS + 1)
    ended = {key.key_id for key in await store.list_keys(database) if key.revoked_ns is not None}
    assert ended == {first.key_id, second.key_id, third.key_id}


async def test_changes_are_read_from_where_one_stands(database: Database) -> None:
    """Each change is seen once, and nothing else is read."""
    first = await make_key(database)
    seen, changes = await store.read_changes(database, 0)
    assert [change.key_id for change in changes] == [first.key_id]
    second = await make_key(database)
    await store.revoke_key(database, first.key_id, NOW_NS)
    after, changes = await store.read_changes(database, seen)
    assert [(change.key_id, change.revoked_ns) for change in changes] == [(second.key_id, None), (first.key_id, NOW_NS)]
    assert await store.read_changes(database, after) == (after, [])


async def test_the_last_use_only_moves_forwards(database: Database) -> None:
    """Batches of several processes arrive in any order."""
    made = await make_key(database)
    for used_ns in (NOW_NS + 5, NOW_NS + 3):
        async with database.write() as connection:
            await store.note_used(connection, {made.key_id: used_ns, "key_unknown": used_ns})
    assert [key.last_used_ns for key in await store.list_keys(database)] == [NOW_NS + 5]


async def test_the_first_start_makes_two_keys(database: Database) -> None:
    """One for real calls, one for the sandbox, in project ``default``."""
    made = await store.bootstrap(database, DIGESTER, NOW_NS)
    assert made is not None
    assert (made.live.key[:9], made.test.key[:9]) == ("lgw_proj_", "lgw_test_")
    listed = await store.list_keys(database)
    assert {key.key_id for key in listed} == {made.live.key_id, made.test.key_id}
    assert {key.project_name for key in listed} == {"default"}


async def test_starts_at_the_same_moment_make_one_pair(database_url: str, tmp_path: Path) -> None:
    """Of several processes with one database one prints keys."""
    databases = await asyncio.gather(*(Database.open(database_url, tmp_path) for _ in range(3)))
    made = await asyncio.gather(*(store.bootstrap(database, DIGESTER, NOW_NS) for database in databases))
    assert sum(pair is not None for pair in made) == 1
    assert len(await store.list_keys(databases[0])) == 2
    for database in databases:
        await database.close()


async def test_an_installation_that_has_keys_gets_no_others(database: Database) -> None:
    """Keys that were made by hand before the first start are enough."""
    await make_key(database)
    assert await store.bootstrap(database, DIGESTER, NOW_NS) is None
    assert await store.bootstrap(database, DIGESTER, NOW_NS) is None
    assert len(await store.list_keys(database)) == 1
