"""What is over is deleted while the gateway runs, in rounds that have a bound, and a database that is away is borne."""

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import Any

import pytest
from households import NOW_NS, ORIGIN, House
from keyrings import Ring
from sqlalchemy import text

from gateway.accounts.directory import KeyFault
from gateway.accounts.tenancy import upkeep
from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.accounts.tenancy.upkeep import Upkeep
from gateway.db import DatabaseUnavailable

LATER_NS = NOW_NS + 200 * 86_400 * 1_000_000_000
COUNTS = [text(f"SELECT COUNT(*) FROM {table}") for table in ("sessions", "refresh_tokens", "invitations")]  # noqa: S608


async def count(house: House) -> list[int]:
    """How much there is."""
    async with house.database.read() as connection:
        return [(await connection.execute(query)).scalar_one() for query in COUNTS]


async def test_all_that_is_over_goes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """In as many batches as it takes."""
    monkeypatch.setattr(upkeep, "BATCH_ROWS", 2)
    monkeypatch.setattr(upkeep, "PAUSE_S", 0)
    people = [await house.register(name) for name in ("ada", "bob", "eve", "kim", "lee")]
    await house.members.invite(people[0].person, "new@example.com", "viewer", ORIGIN, NOW_NS)
    now_ns = [NOW_NS]
    keeper = Upkeep(house.database, Lifetimes(), lambda: now_ns[0])
    assert (await keeper.purge(), await count(house)) == (0, [5, 5, 1])
    now_ns[0] = LATER_NS
    assert await keeper.purge() > 0
    assert await count(house) == [0, 0, 0]


async def test_a_round_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is."""
    monkeypatch.setattr(upkeep, "BATCH_ROWS", 1)
    monkeypatch.setattr(upkeep, "MAX_BATCHES", 2)
    for name in ("ada", "bob", "eve"):
        await house.register(name)
    await Upkeep(house.database, Lifetimes(), lambda: LATER_NS).purge()
    assert (await count(house))[0] == 1


async def count_entries(house: House) -> int:
    """How long the audit log is."""
    async with house.database.read() as connection:
        return int((await connection.execute(text("SELECT COUNT(*) FROM audit_log"))).scalar_one())


async def test_the_audit_log_goes_back_as_far_as_it_is_wanted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """For ever unless a retention is set; in as many batches as it takes."""
    monkeypatch.setattr(upkeep, "BATCH_ROWS", 2)
    monkeypatch.setattr(upkeep, "PAUSE_S", 0)
    for name in ("ada", "bob", "eve", "kim", "lee"):
        await house.register(name)
    assert await count_entries(house) == 5
    for days, left in ((0, 5), (201, 5), (200, 5), (199, 0)):
        await Upkeep(house.database, Lifetimes(), lambda: LATER_NS, days).purge()
        assert (days, await count_entries(house)) == (days, left)


async def test_keys_that_expired_long_ago_are_cleared_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 30 days, in as many batches as it takes; what lives stays, and who shows one is told that it is over."""
    monkeypatch.setattr(upkeep, "BATCH_ROWS", 2)
    monkeypatch.setattr(upkeep, "PAUSE_S", 0)
    ring = await Ring.make(house)
    brief = [await ring.create(expires_ns=NOW_NS + number) for number in range(1, 6)]
    lasting = await ring.create()
    edge_ns = NOW_NS + 5 + upkeep.KEY_DAYS * upkeep.NS_PER_DAY
    for now_ns, listed in ((edge_ns - 1, {brief[-1].detail.key_id}), (edge_ns, set[str]())):
        await Upkeep(house.database, Lifetimes(), lambda now_ns=now_ns: now_ns).purge()  # type: ignore[misc]
        await ring.directory.refresh()
        keys = await ring.keys.list_keys(ring.project_id)
        assert {key.key_id for key in keys} == {*listed, lasting.detail.key_id}
    assert {ring.find(key, edge_ns) for key in brief} == {KeyFault.EXPIRED}


async def test_it_runs_by_itself_until_it_is_closed(house: House) -> None:
    """Round after round."""
    await house.register("ada")
    keeper = Upkeep(house.database, Lifetimes(), lambda: LATER_NS, interval_s=0.01)
    keeper.start()
    async with asyncio.timeout(5):
        while await count(house) != [0, 0, 0]:
            await asyncio.sleep(0.01)
    await keeper.close()
    assert keeper._running is None
    await keeper.close()


async def test_a_database_that_is_away_ends_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells it, and the next round tries again."""

    class Away:
        tries = 0

        @asynccontextmanager
        async def write(self) -> Any:
            self.tries += 1
            raise DatabaseUnavailable("gone")
            yield

    away: Any = Away()
    keeper = Upkeep(away, Lifetimes(), lambda: NOW_NS, interval_s=0.001)
    with caplog.at_level(logging.WARNING):
        keeper.start()
        async with asyncio.timeout(5):
            while away.tries < 2:
                await asyncio.sleep(0.001)
        await keeper.close()
    assert "could not be deleted: gone" in caplog.text
