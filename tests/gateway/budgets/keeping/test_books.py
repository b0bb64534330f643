"""The books: thresholds are noticed once a window, money without a hold reaches the lines."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
from budget_world import Treasure, treasure

from gateway.budgets.bound import UNBOUNDED
from gateway.counters.interface import BudgetLine, NewHold
from gateway.counters.memory import MemoryCounters
from gateway.db import Database
from tests.gateway.usage_rows import NOW_NS

DAY_NS = 86_400 * 10**9


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind is enough here."""
    return f"sqlite:///{tmp_path / 'test.db'}"


def crossed(house: Treasure) -> list[float]:
    """The thresholds that wait to be told."""
    found = [crossing.threshold for crossing in house.books.crossings]
    house.books.crossings.clear()
    return found


async def test_each_threshold_is_noticed_once_a_window(database: Database, tmp_path: Path) -> None:
    """In their order, several at once, and again in the next window."""
    async with treasure(database, tmp_path) as house:
        await house.add(limit_pusd=1_000, thresholds=(0.001, 0.5, 1.0))
        (standing,) = house.books.directory.all()
        for spent, expected in ((0, []), (1, [0.001]), (499, []), (1_000, [0.5, 1.0]), (5_000, [])):
            house.books.note_spent(standing, NOW_NS, spent)
            assert crossed(house) == expected
        house.books.note_spent(standing, NOW_NS + DAY_NS, 500)
        assert crossed(house) == [0.001, 0.5]


async def test_counters_tell_of_the_next_threshold_alone(database: Database, tmp_path: Path) -> None:
    """What is spent below it nobody is told; a budget that was changed begins anew, and its old form tells no more."""
    async with treasure(database, tmp_path) as house:
        await house.add(limit_pusd=1_000, thresholds=(0.5, 1.0))
        (standing,) = house.books.directory.all()
        funds = await house.keeper.reserve(house.wish(1), partial(asyncio.sleep, 0, UNBOUNDED))
        funds.release()
        local, line = house.books.local, standing.line_at(NOW_NS)
        assert local is not None

        def is_told(spent_pusd: int) -> bool:
            counted = local.find((line,))
            assert counted is not None
            counted[0][1].spent_pusd = 0
            assert local.hold("probe", counted, 0, NOW_NS)
            return bool(local.end("probe", spent_pusd, NOW_NS))

        assert is_told(0)
        for spent, quiet_below in ((1, 500), (499, 500), (500, 1_000), (999, 1_000)):
            house.books.note_spent(standing, NOW_NS, spent)
            assert (is_told(quiet_below - 1), is_told(quiet_below)) == (False, True)
        house.books.note_spent(standing, NOW_NS, 1_000)
        assert not is_told(10**17)
        await house.add()
        assert is_told(1)
        house.books.note_spent(standing, NOW_NS, 1_000)
        assert not is_told(1)
        await house.set_zone("Europe/Berlin")
        house.books.note_spent(standing, NOW_NS, 1_000)
        assert is_told(1)


async def test_money_without_a_hold_reaches_the_line(database: Database, tmp_path: Path) -> None:
    """Where there is a counter; where there is none the seed will have it."""
    async with treasure(database, tmp_path) as house:
        await house.add()
        standings = house.books.directory.all()
        house.books.adjust(standings, NOW_NS, 5)
        assert isinstance(house.books.counters, MemoryCounters)
        assert house.books.local is house.books.counters.holds
        line = standings[0].line_at(NOW_NS)
        seeded = BudgetLine(
            budget_key=line.budget_key, window_key=line.window_key, limit_pusd=100, seed_pusd=0, resets_ns=None
        )
        house.books.local.reserve(NewHold(hold_id="h", lines=(seeded,), amount_pusd=1, lease_ns=1), NOW_NS)
        house.books.adjust(standings, NOW_NS, 5)
        (count,) = house.books.local.look([line])  # type: ignore[list-item]
        assert count is not None
        assert count.spent_pusd == 5
