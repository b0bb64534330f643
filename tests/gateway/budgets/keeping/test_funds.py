"""The money of one call in Redis: what could not be told waits, and is told later."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from budget_world import Treasure, treasure

from gateway.budgets.bound import Bound
from gateway.budgets.keeping.books import Unsettled
from gateway.budgets.keeping.funds import Funds
from gateway.budgets.keeping.watch import Watch
from gateway.counters.interface import CountersUnavailable, LineName, Settled
from gateway.counters.shared import SharedCounters
from gateway.db import Database
from gateway.ids import new_id
from tests.gateway.usage_rows import NOW_NS


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind is enough here."""
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
async def house(database: Database, tmp_path: Path, redis_url: str) -> AsyncIterator[Treasure]:
    """A treasury whose counters are in Redis, with one budget."""
    counters = SharedCounters.open(redis_url, namespace=new_id(NOW_NS))
    async with treasure(database, tmp_path, counters) as made:
        await made.add(limit_pusd=1_000)
        yield made
    await counters.close()


async def reserve(house: Treasure) -> Funds:
    """Hold 100."""
    wish = house.wish(100)

    async def tighten() -> Bound:
        return wish.bound

    return house.reserve_at_once(wish) or await house.keeper.reserve(wish, tighten)


async def look(house: Treasure) -> tuple[int, int]:
    """Spent and held."""
    line = house.books.directory.all()[0].line_at(NOW_NS)
    (count,) = await house.books.counters.look([LineName(budget_key=line.budget_key, window_key=line.window_key)])
    assert count is not None
    return count.spent_pusd, count.held_pusd


async def test_redis_knows_before_the_call_ends(house: Treasure) -> None:
    """Held, then settled to the truth by the time that ``finish`` returns."""
    funds = await reserve(house)
    assert await look(house) == (0, 100)
    assert list(house.books.open) == [funds.doubt.request_id]
    funds.settle(30)
    await funds.finish()
    assert await look(house) == (30, 0)
    assert house.books.open == {}


async def test_what_redis_missed_is_told_later(house: Treasure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settled or released; until then it stays held."""
    settled, released = await reserve(house), await reserve(house)
    told = house.books.counters.settle

    async def fail(*_: Any) -> Settled:
        raise CountersUnavailable("away")

    monkeypatch.setattr(house.books.counters, "settle", fail)
    settled.settle(30)
    await settled.finish()
    released.release()
    assert await look(house) == (0, 200)
    assert list(house.books.waiting) == [
        Unsettled(settled.doubt.request_id, 30),
        Unsettled(released.doubt.request_id, 0),
    ]
    with pytest.raises(CountersUnavailable):
        await Watch(house.treasury).work()
    monkeypatch.setattr(house.books.counters, "settle", told)
    await Watch(house.treasury).work()
    assert await look(house) == (30, 0)


async def test_a_line_that_redis_lost_and_began_anew_counts_what_was_held_once(house: Treasure) -> None:
    """It was seeded with what was held; the call's end takes off what it did not cost."""
    funds = await reserve(house)
    counters = house.books.counters
    assert isinstance(counters, SharedCounters)
    # Another namespace is a Redis without data.
    empty = SharedCounters(counters.link, new_id(NOW_NS))
    house.books.counters = empty
    wish = house.wish(100)
    (line,) = (standing.line_at(NOW_NS) for standing in wish.standings)
    name = LineName(budget_key=line.budget_key, window_key=line.window_key)
    await reserve(house)
    await empty.adjust(name, 100)
    funds.settle(30)
    await funds.finish()
    assert await look(house) == (30, 100)
