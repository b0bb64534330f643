"""Processes that spend from the same budgets: who lives, what they hold, and when they are forgotten."""

import asyncio
from pathlib import Path

from budget_world import Treasure, row_of, treasure
from sqlalchemy import text

from gateway.budgets.keeping.books import OpenHold
from gateway.budgets.keeping.peers import LIFE_NS, Peers
from gateway.db import Database
from tests.gateway.usage_rows import NOW_NS


def make_peers(house: Treasure, journal: str = "a", now_ns: int = NOW_NS) -> Peers:
    """A process."""
    return Peers(house.database, house.recorder, house.books, journal, lambda: now_ns)


async def test_what_others_hold_is_known(database: Database, tmp_path: Path) -> None:
    """By budget and window; one's own does not count."""
    async with treasure(database, tmp_path) as house:
        await house.add()
        (standing,) = house.books.directory.all()
        line = standing.line_at(NOW_NS)
        one, other = make_peers(house), make_peers(house)
        house.books.open["h"] = OpenHold((line,), 30, NOW_NS, row_of(cost_pusd=30))
        await other.beat()
        house.books.open.clear()
        for _ in range(2):
            await one.beat()
        one._beat = 5
        dead = make_peers(house, now_ns=NOW_NS - 2 * LIFE_NS)
        await dead.beat()
        # The other has beaten too seldom since: it is taken as dead only by the clock.
        other._now_ns = lambda: NOW_NS - LIFE_NS
        await other.beat()
        await one.wait_for_all()
        assert one.held_pusd(line.budget_key, line.window_key) == 0
        assert not one.are_whole


async def test_what_others_hold_by_counters_that_are_over_is_known_by_name(database: Database, tmp_path: Path) -> None:
    """By the counter that follows since the zone was changed; what is held by counters of now is only summed up."""
    async with treasure(database, tmp_path) as house:
        await house.add()
        await house.add(span="total")
        standings = tuple(house.books.directory.all())
        lines = tuple(standing.line_at(NOW_NS) for standing in standings)
        house.books.open["h"] = OpenHold(lines, 30, NOW_NS, row_of(cost_pusd=30), standings)
        one, other = make_peers(house), make_peers(house)
        for changes in range(2):
            await other.beat()
            waiting = asyncio.ensure_future(one.wait_for_all())
            async with asyncio.timeout(10):
                while not waiting.done():
                    await asyncio.sleep(0.02)
                    await other.beat()
            (day,) = [found for found in house.books.directory.all() if found.budget.span == "day"]
            new = day.line_at(NOW_NS)
            assert one.moved(new.budget_key, new.window_key) == ({"h": 30} if changes else {})
            assert [one.held_pusd(line.budget_key, line.window_key) for line in lines] == [30, 30]
            await house.set_zone("Asia/Tokyo")


async def test_the_dead_of_ones_own_journal_are_buried(database: Database, tmp_path: Path) -> None:
    """Not those of another, nor those that live; who leaves in order is gone."""
    async with treasure(database, tmp_path) as house:
        dead_ns = NOW_NS - 2 * LIFE_NS
        for journal, now_ns in (("a", dead_ns), ("b", dead_ns), ("a", NOW_NS)):
            await make_peers(house, journal, now_ns).beat()
        me = make_peers(house)
        await me.beat()
        await me.bury()
        async with database.read() as connection:
            asked = text("SELECT journal, seen_ns FROM spenders ORDER BY journal, seen_ns")
            assert [tuple(row) for row in await connection.execute(asked)] == [
                ("a", NOW_NS),
                ("a", NOW_NS),
                ("b", dead_ns),
            ]
        await me.leave()
        async with database.read() as connection:
            assert (await connection.execute(text("SELECT COUNT(*) FROM spenders"))).scalar_one() == 2


async def test_who_is_asked_beats_twice_at_once(database: Database, tmp_path: Path) -> None:
    """A pause ends early with a beat, and the next beat follows it; whoever asked waits for no more than that."""
    async with treasure(database, tmp_path) as house:
        one, other = make_peers(house), make_peers(house)
        await other.beat()
        asking = asyncio.ensure_future(one.wait_for_all(is_urgent=True))
        async with asyncio.timeout(10):
            while other._beat < 2:
                await other.pause()
            assert not asking.done()
            await other.beat()
            await asking
        assert one.are_whole
