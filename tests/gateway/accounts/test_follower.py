"""What keys and credentials have in common: loaded, followed, and known on while the database is away."""

import asyncio

import pytest

from gateway.accounts import follower
from gateway.accounts.follower import Follower
from gateway.db import DatabaseUnavailable


class Pebbles(Follower):
    """Something to follow; each look takes one more over, or fails as told."""

    things = "pebbles"

    def __init__(self) -> None:
        super().__init__()
        self.known = 0
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
