"""Beside the calls: thresholds become events, whichever money reached them."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from budget_world import Treasure, row_of, treasure
from sqlalchemy import text

from gateway.budgets import store
from gateway.budgets.keeping.books import Crossing
from gateway.budgets.keeping.watch import Watch, make_event
from gateway.counters.shared import SharedCounters
from gateway.db import Database, DatabaseUnavailable
from gateway.ids import new_id
from gateway.ledger.recording.recorder import Recorder
from tests.gateway.usage_rows import NOW_NS


async def test_a_threshold_becomes_one_event(database: Database, tmp_path: Path) -> None:
    """With the figures, whoever tells it again."""
    async with treasure(database, tmp_path) as house:
        await house.add(limit_pusd=1_000)
        (standing,) = house.books.directory.all()
        crossing = Crossing(standing.budget, standing.window_at(NOW_NS), 0.5, 600)
        assert make_event(crossing, 1).once == make_event(crossing, 2).once
        house.books.crossings.extend([crossing, crossing])
        await Watch(house.treasury).work()
        async with database.read() as connection:
            (row,) = (await connection.execute(text("SELECT name, payload FROM events"))).all()
        assert row[0] == "usage.threshold"
        told = json.loads(row[1])
        assert (told["threshold"], told["spent_usd"], told["window"]) == (0.5, "0.0000000006", "day")


async def test_a_threshold_is_told_of_once_though_the_zone_be_changed(database: Database, tmp_path: Path) -> None:
    """A day is one, whichever zone it is reckoned in; so are a month, and an hour that begins at the same moment."""
    async with treasure(database, tmp_path) as house:
        for span in ("hour", "day", "month", "total"):
            await house.add(span=span, limit_pusd=1_000, thresholds=(0.5,))
        for zone in ("UTC", "Europe/Berlin", "UTC"):
            await house.set_zone(zone)
            for standing in house.books.directory.all():
                house.books.note_spent(standing, NOW_NS, 600)
        assert len(house.books.crossings) == 12
        await Watch(house.treasury).work()
        async with database.read() as connection:
            assert await connection.scalar(text("SELECT COUNT(*) FROM events")) == 4


async def tell(house: Treasure) -> list[float]:
    """The thresholds that events tell of after the work is done."""
    await Watch(house.treasury).work()
    async with house.database.read() as connection:
        found = await connection.execute(text("SELECT payload FROM events ORDER BY event_id"))
        return sorted(json.loads(payload)["threshold"] for (payload,) in found)


@pytest.mark.parametrize("is_shared", [True, False])
async def test_thresholds_that_were_reached_without_a_hold_are_told_of(
    database: Database, tmp_path: Path, redis_url: str, is_shared: bool
) -> None:
    """By a call that ran as the budget was made, of which the ledger, or the counter, knows: once."""
    counters = SharedCounters.open(redis_url, namespace=new_id(NOW_NS)) if is_shared else None
    async with treasure(database, tmp_path, counters) as house:
        await house.add(limit_pusd=1_000, thresholds=(0.5, 1.0))
        (standing,) = house.books.directory.all()
        house.recorder.record(row_of(cost_pusd=600))
        house.books.adjust([standing], NOW_NS, 600)
        assert await tell(house) == [0.5]
        # A line has begun meanwhile.
        await house.hold(1)
        house.recorder.record(row_of(cost_pusd=400))
        house.books.adjust([standing], NOW_NS, 400)
        assert await tell(house) == [0.5, 1.0]
        house.books.adjust([standing], NOW_NS, 400)
        assert await tell(house) == [0.5, 1.0]
        assert house.books.unsure == {}
    if counters is not None:
        await counters.close()


async def test_what_cannot_be_looked_up_waits(database: Database, tmp_path: Path) -> None:
    """Until the ledger can be read. One that is gone meanwhile is passed over, one without thresholds never asked."""
    async with treasure(database, tmp_path) as house:
        for thresholds in ((0.5,), (0.5,), ()):
            await house.add(limit_pusd=1_000, thresholds=thresholds)
        house.recorder.record(row_of(cost_pusd=600))
        house.books.adjust(house.books.directory.all(), NOW_NS, 600)
        assert len(house.books.unsure) == 2
        with patch.object(Recorder, "has_rows_on_disk_alone", True), pytest.raises(DatabaseUnavailable):
            await Watch(house.treasury).work()
        assert len(house.books.unsure) == 2
        async with database.write() as connection:
            await store.delete(connection, next(iter(house.books.unsure)), NOW_NS)
        await house.books.directory.refresh()
        assert (await tell(house), house.books.unsure) == ([0.5], {})


async def test_what_is_spent_while_it_is_looked_up_is_looked_up_again(database: Database, tmp_path: Path) -> None:
    """It may be in no sum that was read."""
    async with treasure(database, tmp_path) as house:
        await house.add(limit_pusd=1_000, thresholds=(0.5,))
        standings, read = house.books.directory.all(), house.treasury.spending.read

        async def read_and_spend(*asked: Any) -> list[int]:
            sums = await read(*asked)
            house.recorder.record(row_of(cost_pusd=600))
            house.books.adjust(standings, NOW_NS, 600)
            return sums

        house.books.adjust(standings, NOW_NS, 1)
        with patch.object(house.treasury.spending, "read", read_and_spend):
            assert await tell(house) == []
        assert (len(house.books.unsure), await tell(house), house.books.unsure) == (1, [0.5], {})


async def test_what_was_booked_at_the_start_is_told_of(database: Database, tmp_path: Path) -> None:
    """No call may begin the counter again: the budget may have no room for one."""
    async with treasure(database, tmp_path) as house:
        await house.add(limit_pusd=1_000, thresholds=(0.5,))
        house.recorder.record(row_of(cost_pusd=2_000, status="in_doubt"))
        await Watch(house.treasury).take_corrections()
        assert await tell(house) == [0.5]
