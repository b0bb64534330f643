"""The SQL of kept prompts: what a project wants bounds what is stored, shown and deleted."""

import msgspec

from gateway.db import Database
from gateway.prompts import store
from gateway.prompts.store import NS_PER_DAY, Sealed, Setting

SINCE_NS = 1_790_000_000_000_000_000
NOW_NS = SINCE_NS + 10 * NS_PER_DAY
WANTED = Setting(project_id="p", retention_days=7, since_ns=SINCE_NS)


def sealed(request_id: str, created_ns: int = NOW_NS, project_id: str = "p") -> Sealed:
    """What is stored of a call."""
    return Sealed(request_id=request_id, project_id=project_id, content=b"\0sealed", created_ns=created_ns)


async def fill(database: Database, setting: Setting, *contents: Sealed) -> None:
    """Set what a project wants, then store."""
    async with database.write() as connection:
        await store.write_setting(connection, setting)
        if contents:
            await store.insert(connection, contents)


async def find(database: Database, request_id: str, now_ns: int = NOW_NS, project_id: str = "p") -> bytes | None:
    """Look for what is stored."""
    async with database.read() as connection:
        return await store.find(connection, project_id, request_id, now_ns)


async def delete(database: Database, setting: Setting, limit: int = 100) -> int:
    """Delete what is over."""
    async with database.write() as connection:
        return await store.delete_old(connection, setting, NOW_NS, limit)


async def test_what_a_project_sets_is_read_and_followed(database: Database) -> None:
    """Only what changed since a revision."""
    other = Setting(project_id="q", retention_days=None, since_ns=1)
    async with database.write() as connection:
        await store.write_setting(connection, WANTED)
        first, one = await store.read_changes(connection, 0)
        await store.write_setting(connection, other)
        second, newer = await store.read_changes(connection, first)
        assert await store.read_changes(connection, second) == (second, [])
        assert await store.read_setting(connection, "p") == WANTED
        assert (await store.read_setting(connection, "r")).retention_days is None
        assert await store.read_settings(connection) == [WANTED, other]
    assert (one, newer) == ([WANTED], [other])


async def test_a_content_is_found_by_its_own_project_alone(database: Database) -> None:
    """A second one of the same call changes nothing."""
    again = msgspec.structs.replace(sealed("r"), content=b"other")
    await fill(database, WANTED, sealed("r"), again)
    assert await find(database, "r") == b"\0sealed"
    assert await find(database, "r", project_id="q") is None
    assert await find(database, "s") is None


async def test_nothing_is_stored_for_a_project_that_does_not_want_it(database: Database) -> None:
    """Whatever a process that has not heard of it yet believes; nor what began before."""
    await fill(database, WANTED, sealed("early", SINCE_NS - 1), sealed("foreign", project_id="q"))
    await fill(database, msgspec.structs.replace(WANTED, retention_days=None), sealed("late"))
    async with database.write() as connection:
        # Wanted again, so that what is there would be shown.
        await store.write_setting(connection, WANTED)
    assert [await find(database, each) for each in ("early", "foreign", "late")] == [None] * 3


async def test_what_is_over_is_not_shown_even_before_it_is_deleted(database: Database) -> None:
    """Older than the retention, of an earlier opt-in, or of a project that wants nothing any more."""
    old_ns = NOW_NS - 7 * NS_PER_DAY
    await fill(database, WANTED, sealed("old", old_ns))
    assert await find(database, "old") is not None
    assert await find(database, "old", NOW_NS + 1) is None
    await fill(database, msgspec.structs.replace(WANTED, since_ns=NOW_NS))
    assert await find(database, "old") is None
    await fill(database, msgspec.structs.replace(WANTED, retention_days=None))
    assert await find(database, "old") is None


async def test_the_oldest_are_deleted_first_and_no_more_than_is_over(database: Database) -> None:
    """In pieces; another project's are left."""
    contents = [sealed(f"r{age}", NOW_NS - age * NS_PER_DAY) for age in range(10)]
    await fill(database, WANTED, *contents)
    await fill(database, msgspec.structs.replace(WANTED, project_id="q"), sealed("q9", SINCE_NS, "q"))
    assert [await delete(database, WANTED, 1), await delete(database, WANTED), await delete(database, WANTED)] == [
        1,
        1,
        0,
    ]
    assert [await find(database, f"r{age}", SINCE_NS) is not None for age in range(10)] == [True] * 8 + [False] * 2
    assert await delete(database, msgspec.structs.replace(WANTED, retention_days=None)) == 8
    assert await find(database, "q9", SINCE_NS, "q") is not None


async def test_a_deleted_project_wants_nothing_any_more(database: Database) -> None:
    """Every process is told; one that never wanted it is not written about."""
    await fill(database, WANTED, sealed("r"))
    async with database.write() as connection:
        revision, _ = await store.read_changes(connection, 0)
        await store.forget_project(connection, "p")
        await store.forget_project(connection, "never")
        assert (await store.read_changes(connection, revision))[1] == [
            msgspec.structs.replace(WANTED, retention_days=None)
        ]
        assert len(await store.read_settings(connection)) == 1
