"""What keys and credentials have in common: loaded, followed, and known on while the database is away."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import text

from gateway.accounts import follower
from gateway.accounts.follower import Follower
from gateway.db import Database, DatabaseUnavailable


class Moving:
    """A revision that moves each time it is looked at, or stands."""

    def __init__(self) -> None:
        self.value = 0
        self.step = 1

    async def read(self, name: str) -> int:
        """Tell where it stands."""
        assert name == "pebbles"
        self.value += self.step
        return self.value


class Pebbles(Follower):
    """Something to follow; each look takes one more over, or fails as told."""

    things = "pebbles"
    revision_name = "pebbles"

    def __init__(self) -> None:
        self.moving = Moving()
        super().__init__(cast("Database", SimpleNamespace(revisions=self.moving)))
        self.known = 0
        self.tended = 0
        self.failure: Exception | None = None
        self.looked = asyncio.Event()

    def __len__(self) -> int:
        """Count them."""
        return self.known

    async def take_changes(self) -> None:
        """Find one more."""
        self.looked.set()
        if self.failure is not None:
            raise self.failure
        self.known += 1

    async def tend(self) -> None:
        """Count the looks."""
        self.tended += 1


async def next_look(pebbles: Pebbles) -> None:
    """Wait until the next look is over."""
    for _ in range(2):
        pebbles.looked.clear()
        await pebbles.looked.wait()


async def test_it_is_stale_until_it_was_loaded() -> None:
    """Nothing is known before."""
    pebbles = Pebbles()
    before = pebbles.is_stale
    await pebbles.refresh()
    assert (before, pebbles.is_stale, len(pebbles)) == (True, False, 1)


@pytest.mark.parametrize("failure", [DatabaseUnavailable("away"), TimeoutError()], ids=["away", "late"])
async def test_a_look_that_fails_makes_it_stale_and_says_what(failure: Exception) -> None:
    """What is known stays known."""
    pebbles = Pebbles()
    await pebbles.refresh()
    pebbles.failure = failure
    with pytest.raises(DatabaseUnavailable, match="pebbles could not be read"):
        await pebbles.refresh()
    assert (pebbles.is_stale, len(pebbles)) == (True, 1)


async def test_it_follows_and_tells_once_of_each_change(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the database goes and when it is back, not at each look."""
    monkeypatch.setattr(follower, "POLL_INTERVAL_MS", 1)
    pebbles = Pebbles()
    await pebbles.start()
    pebbles.failure = DatabaseUnavailable("away")
    await next_look(pebbles)
    await next_look(pebbles)
    pebbles.failure = None
    await next_look(pebbles)
    await pebbles.close()
    assert [record.getMessage().count("pebbles") for record in caplog.records] == [2, 1]
    assert not pebbles.is_stale


@pytest.fixture
async def standing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pebbles]:
    """Pebbles that are followed, and whose revision stands still."""
    monkeypatch.setattr(follower, "POLL_INTERVAL_MS", 1)
    pebbles = Pebbles()
    pebbles.moving.step = 0
    await pebbles.start()
    # The first look does not know where it stood at the start.
    while len(pebbles) < 2:
        await asyncio.sleep(0.001)
    yield pebbles
    await pebbles.close()


async def test_what_stands_still_is_not_read_again(standing: Pebbles) -> None:
    """As long as its revision stands a table is left alone, though what is due is done; when it moves it is read."""
    pebbles = standing
    known, tended = len(pebbles), pebbles.tended
    while pebbles.tended < tended + 5:
        await asyncio.sleep(0.001)
    assert len(pebbles) == known
    pebbles.moving.value += 1
    pebbles.looked.clear()
    await pebbles.looked.wait()
    await pebbles.close()
    assert len(pebbles) == known + 1


async def test_where_it_is_stale_it_is_read_again_though_nothing_moved(standing: Pebbles) -> None:
    """What was missed while the database was away may be older than the revision says."""
    pebbles = standing
    pebbles.failure = DatabaseUnavailable("away")
    with pytest.raises(DatabaseUnavailable):
        await pebbles.refresh()
    pebbles.failure = None
    pebbles.looked.clear()
    await pebbles.looked.wait()
    async with asyncio.timeout(5):
        while pebbles.is_stale:
            await asyncio.sleep(0.001)
    assert not pebbles.is_stale


async def test_revisions_are_read_once_for_all_who_ask_within_a_moment(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction tells them all, and tells anew when the moment is over."""
    asked = 0
    read = database.read

    def count() -> Any:
        nonlocal asked
        asked += 1
        return read()

    monkeypatch.setattr(database, "read", count)
    names = ("keys", "credentials", "budgets", "cache", "semantic", "prompts")
    before = await asyncio.gather(*[database.revisions.read(name) for name in names])
    assert asked == 1
    async with database.write() as connection:
        await connection.execute(text("UPDATE revisions SET value = value + 1 WHERE name = 'cache'"))
    monkeypatch.setattr("gateway.db._FRESH_REVISIONS_S", 0)
    assert await database.revisions.read("cache") == before[3] + 1
    assert asked == 2
