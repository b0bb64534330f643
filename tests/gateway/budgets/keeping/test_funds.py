"""The money of one call in Redis: what could not be told waits, and is told later."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from budget_world import ACCOUNT, Treasure, row_of, treasure

from gateway.budgets.bound import Bound
from gateway.budgets.keeping.books import Unsettled, name_of
from gateway.budgets.keeping.funds import Funds
from gateway.budgets.keeping.peers import Peers
from gateway.budgets.keeping.watch import Watch
from gateway.counters.interface import CountersUnavailable, LineCount, LineName, Settled
from gateway.counters.shared import SharedCounters
from gateway.db import Database
from gateway.errors import Fault
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


def lose(house: Treasure) -> None:
    """Another namespace is a Redis without data."""
    counters = house.books.counters
    assert isinstance(counters, SharedCounters)
    house.books.counters = SharedCounters(counters.link, new_id(NOW_NS))


async def test_a_line_that_redis_lost_and_began_anew_counts_what_was_held_once(house: Treasure) -> None:
    """It is seeded with what is held; the calls' ends take off what they did not cost, once."""
    settled, released = await reserve(house), await reserve(house)
    lose(house)
    await reserve(house)
    assert await look(house) == (200, 100)
    settled.settle(30)
    house.recorder.record(row_of(request_id=settled.doubt.request_id, cost_pusd=30))
    await settled.finish()
    released.release()
    for _ in range(2):
        await Watch(house.treasury).work()
        assert await look(house) == (30, 100)


async def test_what_ended_before_redis_was_told_is_counted_by_its_row(house: Treasure) -> None:
    """The ledger has it when the line is begun anew: neither its hold nor its end changes the line."""
    funds = await reserve(house)
    funds.settle(30)
    house.recorder.record(row_of(request_id=funds.doubt.request_id, cost_pusd=30))
    lose(house)
    await reserve(house)
    assert await look(house) == (30, 100)
    await funds.finish()
    assert await look(house) == (30, 100)


async def test_what_calls_hold_leaves_no_room_after_redis_lost_its_data(house: Treasure) -> None:
    """Nor in the audit's eyes, which sets a line to the ledger and to what still runs."""
    running = [await reserve(house) for _ in range(10)]
    lose(house)
    for _ in range(2):
        with pytest.raises(Fault, match="no room"):
            await reserve(house)
        await audit(house)
    for funds in running:
        funds.settle(1)
        house.recorder.record(row_of(request_id=funds.doubt.request_id, cost_pusd=1))
        await funds.finish()
    assert await look(house) == (10, 0)


async def test_a_budget_that_comes_later_counts_what_running_calls_hold(house: Treasure) -> None:
    """Until they end; from then on what they cost."""
    running = await reserve(house)
    await house.add(scope="account", scope_id=ACCOUNT, limit_pusd=250)
    late = house.books.directory.all()[1]
    await reserve(house)
    with pytest.raises(Fault, match="no room"):
        await reserve(house)
    running.settle(30)
    house.recorder.record(row_of(request_id=running.doubt.request_id, cost_pusd=30))
    house.books.adjust([late], NOW_NS, 30)
    await running.finish()
    await Watch(house.treasury).work()
    (count,) = await house.books.counters.look([name_of(late.line_at(NOW_NS))])
    assert count == LineCount(spent_pusd=30, held_pusd=100)


async def audit(house: Treasure) -> None:
    """Compare the counters with the ledger, nobody else being there."""
    peers = Peers(house.database, house.recorder, house.books, "here", house.books.now_ns)
    await Watch(msgspec.structs.replace(house.treasury, peers=peers)).audit()
