"""The directory: right answers from memory, changes of other processes within a second."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from waiting_clock import waiting_clock

from gateway.accounts import directory, follower, store
from gateway.accounts.directory import KeyDirectory, KeyFault, KeyRecord
from gateway.accounts.keys import KeyDigester, make_key
from gateway.accounts.store import NewKey
from gateway.db import Database, DatabaseUnavailable

NOW_NS = 1_790_000_000_000_000_000
DIGESTER = KeyDigester(bytes(32))


@pytest.fixture
async def keys(database: Database) -> AsyncIterator[KeyDirectory]:
    """A directory that is refreshed by hand."""
    keys = KeyDirectory(database, DIGESTER)
    await keys.refresh()
    yield keys
    await keys.close()


async def create(database: Database, **wanted: object) -> store.MadeKey:
    """Make a key in project ``p``."""
    project = await store.find_or_create_project(database, "p", NOW_NS)
    return await store.create_key(database, DIGESTER, NewKey(project_id=project.project_id, **wanted), NOW_NS)  # type: ignore[arg-type]


def find(keys: KeyDirectory, key: str, now_ns: int = NOW_NS) -> KeyRecord | KeyFault:
    """Look a key up."""
    return keys.find(key.encode(), now_ns)


async def wait_until(is_true: Callable[[], bool]) -> float:
    """Wait for something and tell how long it took, in s."""
    async with asyncio.timeout(20), waiting_clock() as clock:
        while not is_true():
            await asyncio.sleep(0.01)
        return clock.seconds


async def test_a_key_is_found_with_all_that_it_may(database: Database, keys: KeyDirectory) -> None:
    """Nothing needs the database at the time of the call."""
    made = await create(
        database, kind="test", is_managing=True, allowed_models=frozenset({"gpt-4"}), expires_ns=NOW_NS + 1
    )
    await keys.refresh()
    assert find(keys, made.key) == KeyRecord(
        key_id=made.key_id,
        project_id=made.project_id,
        kind="test",
        is_managing=True,
        allowed_models=frozenset({"gpt-4"}),
        expires_ns=NOW_NS + 1,
        scopes=frozenset({"proxy", "usage:read"}),
    )


async def test_a_key_expires_at_its_moment(database: Database, keys: KeyDirectory) -> None:
    """Not a nanosecond later."""
    made = await create(database, expires_ns=NOW_NS + 10)
    await keys.refresh()
    assert isinstance(find(keys, made.key, NOW_NS + 9), KeyRecord)
    assert find(keys, made.key, NOW_NS + 10) is KeyFault.EXPIRED


async def test_a_revoked_key_is_told_from_an_unknown_one(database: Database, keys: KeyDirectory) -> None:
    """The message says what to do."""
    made = await create(database)
    await store.revoke_key(database, made.key_id, NOW_NS)
    await keys.refresh()
    assert find(keys, made.key) is KeyFault.REVOKED
    assert find(keys, make_key("live")) is KeyFault.UNKNOWN


async def test_what_is_no_key_is_malformed(keys: KeyDirectory) -> None:
    """A typing error is told from a key that is not known."""
    for presented in (b"", b"lgw_proj_", b"sk-abc", b"\xff" * 58, b"x" * 100_000, b"lgw_proj_" + b"a" * 49):
        assert keys.find(presented, NOW_NS) is KeyFault.MALFORMED, presented[:60]


async def test_a_digest_is_made_with_the_pepper(database: Database) -> None:
    """Under another master key no stored key is known."""
    made = await create(database)
    other = KeyDirectory(database, KeyDigester(bytes([1] * 32)))
    await other.refresh()
    assert find(other, made.key) is KeyFault.UNKNOWN


async def test_changes_of_another_process_are_honoured_within_a_second(database_url: str, tmp_path: Path) -> None:
    """A key made beside a running server works, a revoked one stops working."""
    here, there = [await Database.open(database_url, tmp_path) for _ in range(2)]
    keys = KeyDirectory(here, DIGESTER)
    await keys.start()
    made = await create(there)
    assert await wait_until(lambda: isinstance(find(keys, made.key), KeyRecord)) < 1
    await store.revoke_key(there, made.key_id, NOW_NS)
    assert await wait_until(lambda: find(keys, made.key) is KeyFault.REVOKED) < 1
    await keys.close()
    await here.close()
    await there.close()


async def test_known_keys_outlive_the_database(
    database: Database, keys: KeyDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage is told once, known keys are served, and changes come in when it is over."""
    monkeypatch.setattr(follower, "POLL_INTERVAL_MS", 5)
    made = await create(database)
    await keys.start()

    async def fail(*_: object) -> None:
        raise DatabaseUnavailable("taken away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "read_changes", fail)
        await wait_until(lambda: keys.is_stale)
        await asyncio.sleep(0.03)
        assert isinstance(find(keys, made.key), KeyRecord)
    later = await create(database)
    await wait_until(lambda: isinstance(find(keys, later.key), KeyRecord))
    assert not keys.is_stale
    assert caplog.text.count("taken away") == 1


async def test_a_database_that_hangs_makes_the_directory_stale(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting has an end."""
    monkeypatch.setattr(follower, "POLL_TIMEOUT_MS", 10)

    async def hang(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(store, "read_changes", hang)
    keys = KeyDirectory(database, DIGESTER)
    with pytest.raises(DatabaseUnavailable, match="timed out"):
        await keys.refresh()
    assert keys.is_stale


async def test_an_older_copy_of_the_database_is_read_anew(database: Database, keys: KeyDirectory) -> None:
    """After a restore a key that only memory knows is no longer honoured."""
    lost = await create(database)
    await create(database)
    await keys.refresh()
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM keys WHERE key_id = :key_id"), {"key_id": lost.key_id})
        await connection.execute(text("UPDATE keys SET revision = 1"))
        await connection.execute(text("UPDATE revisions SET value = 1 WHERE name = 'keys'"))
    await keys.refresh()
    assert find(keys, lost.key) is KeyFault.UNKNOWN
    assert len(keys) == 1


async def test_who_shows_a_key_that_was_just_made_has_the_directory_catch_up(
    database: Database, keys: KeyDirectory
) -> None:
    """All who wait share a look that began after they came; a look that ran already may have missed what they want."""
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        await KeyDirectory.take_changes(keys)

    keys.take_changes = look  # type: ignore[method-assign]
    first, second = await create(database), await create(database)
    await asyncio.gather(*(keys.catch_up() for _ in range(50)))
    assert isinstance(find(keys, first.key), KeyRecord)
    assert isinstance(find(keys, second.key), KeyRecord)
    assert looks == 1
    third = await create(database)
    await keys.catch_up()
    assert isinstance(find(keys, third.key), KeyRecord)


async def test_strangers_cause_few_looks(keys: KeyDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys they make up, one after the other."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def look() -> None:
        """It is not what is asked here, and would sleep itself."""

    monkeypatch.setattr(keys, "refresh", look)
    monkeypatch.setattr(directory.asyncio, "sleep", sleep)
    monkeypatch.setattr(directory, "LOOKS_PER_S", 1)
    for _ in range(3):
        await keys.catch_up()
    assert slept[0] <= 0
    assert all(0 < seconds <= 1 for seconds in slept[1:])


async def test_while_the_database_is_away_nobody_waits_to_be_known(
    database: Database, keys: KeyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first who asks finds out; it is stale then, which is a 503 and no 401."""
    looks = 0

    async def fail(*_: object) -> None:
        nonlocal looks
        looks += 1
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(store, "read_changes", fail)
    for _ in range(3):
        await keys.catch_up()
    assert (keys.is_stale, looks) == (True, 1)
