"""Lines begin at the ledger's sum with what runs, through Redis too: whoever changes the zone, whenever."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from budget_world import Treasure, row_of, treasure

from gateway.budgets.bound import Bound
from gateway.budgets.budget import Budget
from gateway.budgets.keeping.funds import Funds
from gateway.budgets.keeping.peers import Peers
from gateway.counters.interface import NewHold, Reservation
from gateway.counters.shared import SharedCounters
from gateway.db import Database
from gateway.errors import Fault
from gateway.ids import new_id
from tests.gateway.usage_rows import NOW_NS

ZONES = ("UTC", "Asia/Kathmandu", "Asia/Kolkata")
SEED = 20261128


@asynccontextmanager
async def process(
    database: Database, folder: Path, redis_url: str, namespace: str, *, is_driven: bool = False
) -> AsyncIterator[Treasure]:
    """One of several on one Redis and one database, which beats all the time.

    One that ``is_driven`` does nothing by itself: it beats and stores its rows as it is told to.
    """
    async with AsyncExitStack() as stack:
        counters = SharedCounters.open(redis_url, namespace=namespace)
        stack.push_async_callback(counters.close)
        house = await stack.enter_async_context(treasure(database, folder, counters, folds=not is_driven))
        peers = Peers(database, house.recorder, house.books, str(folder), lambda: NOW_NS)
        await peers.appear()

        async def beat() -> None:
            while not is_driven:
                await peers.beat()
                await asyncio.sleep(0.005)

        group = await stack.enter_async_context(asyncio.TaskGroup())
        beating = group.create_task(beat())
        yield Treasure(msgspec.structs.replace(house.treasury, peers=peers))
        beating.cancel()


@asynccontextmanager
async def pair(
    database: Database, folder: Path, redis_url: str, *, driven: Literal["", "one", "two"] = ""
) -> AsyncIterator[tuple[Treasure, Treasure]]:
    """Two of them."""
    name = new_id(NOW_NS)
    async with (
        process(database, folder / "a", redis_url, name, is_driven=driven == "one") as one,
        process(database, folder / "b", redis_url, name, is_driven=driven == "two") as two,
    ):
        yield one, two


async def reserve(house: Treasure, amount_pusd: int) -> Funds:
    """Hold all of it."""
    wish = house.wish(amount_pusd)

    async def tighten() -> Bound:
        return wish.bound

    return await house.keeper.reserve(wish, tighten)


async def settle(house: Treasure, funds: Funds, cost_pusd: int) -> None:
    """End a call with its row."""
    funds.settle(cost_pusd)
    house.recorder.record(row_of(request_id=funds.doubt.request_id, cost_pusd=cost_pusd))
    await funds.finish()


async def stand(house: Treasure, budget: Budget) -> tuple[int, int]:
    """Spent and held, as the counter has it."""
    standing = house.books.directory.get(budget.budget_id)
    assert standing is not None
    (count,) = await house.books.counters.look([standing.line_at(NOW_NS)])  # type: ignore[list-item]
    return (0, 0) if count is None else (count.spent_pusd, count.held_pusd)


async def test_what_all_processes_hold_joins_the_line_of_the_new_zone(
    database: Database, tmp_path: Path, redis_url: str
) -> None:
    """Held there, not spent; each is in it once, whether it ended before the line began or settles there."""
    async with pair(database, tmp_path, redis_url) as (one, two):
        budget = await one.add(limit_pusd=1_000)
        await two.books.directory.refresh()
        held = [await reserve(house, 100) for house in (one, two, one, two)]
        assert await two.keeper.reserve_more(held[3], 2)
        assert await stand(one, budget) == (0, 500)
        await one.set_zone("Asia/Kathmandu")
        await settle(two, held[1], 5)
        extra = await reserve(one, 10)
        assert await stand(one, budget) == (5, 410)
        for house, funds, cost in ((one, held[0], 40), (one, held[2], 100), (two, held[3], 130), (one, extra, 1)):
            await settle(house, funds, cost)
        await two.recorder.flush()
        assert await stand(two, budget) == (276, 0)
        assert await one.sum_pusd(budget) == 276


async def test_a_hold_that_reaches_redis_as_the_zone_is_changed_is_made_anew(
    database: Database, tmp_path: Path, redis_url: str
) -> None:
    """Its process could not tell of it: the call waits for the line that counts, also where it is changed once more."""
    async with process(database, tmp_path, redis_url, new_id(NOW_NS)) as house:
        budget = await house.add(limit_pusd=100)
        await settle(house, await reserve(house, 1), 1)
        (old,) = house.books.directory.all()
        counters, zones = house.books.counters, ["Asia/Kolkata", "Asia/Kathmandu"]
        reserve_at, withdraw_at = counters.reserve, counters.withdraw

        async def reserve_late(hold: NewHold, now_ns: int) -> Reservation:
            reservation = await reserve_at(hold, now_ns)
            if len(zones) == 2:
                await house.set_zone(zones.pop())
            return reservation

        async def withdraw_late(hold_id: str, now_ns: int) -> None:
            await withdraw_at(hold_id, now_ns)
            if zones:
                await house.set_zone(zones.pop())

        counters.reserve, counters.withdraw = reserve_late, withdraw_late  # type: ignore[method-assign]
        funds = await reserve(house, 60)
        assert await stand(house, budget) == (1, 60)
        assert await house.books.counters.look([old.line_at(NOW_NS)]) != (None,)  # type: ignore[list-item]
        (count,) = await house.books.counters.look([old.line_at(NOW_NS)])  # type: ignore[list-item]
        assert count is not None
        assert (count.spent_pusd, count.held_pusd) == (1, 0)
        await settle(house, funds, 7)
        assert await stand(house, budget) == (8, 0)


async def test_a_line_does_not_begin_where_others_tell_of_the_one_after_it(
    database: Database, tmp_path: Path, redis_url: str
) -> None:
    """What they hold belongs to that: the line of the zone before would begin without it."""
    async with pair(database, tmp_path, redis_url, driven="one") as (one, two):
        budget = await one.add(limit_pusd=100)
        await two.books.directory.refresh()
        await settle(one, await reserve(one, 1), 1)
        held = await reserve(two, 60)
        await one.set_zone("Asia/Kathmandu")
        flush_at, zones = one.recorder.flush, ["Asia/Kolkata"]

        async def flush_early() -> None:
            await flush_at()
            if zones:
                await two.set_zone(zones.pop())

        one.recorder.flush = flush_early  # type: ignore[method-assign]
        with pytest.raises(Fault) as refused:
            await reserve(one, 60)
        assert refused.value.code == "spending_limit"
        assert not zones
        assert await stand(one, budget) == (1, 60)
        await settle(two, held, 7)
        assert await stand(one, budget) == (8, 0)


async def test_a_call_that_ends_as_its_process_tells_of_itself_counts_in_a_line_that_begins(
    database: Database, tmp_path: Path, redis_url: str
) -> None:
    """Redis knows that it is over on a line that is over too, and the database has no row of it yet."""
    async with pair(database, tmp_path, redis_url, driven="two") as (one, two):
        budget = await two.add(limit_pusd=1_000)
        await one.books.directory.refresh()
        peers, refresh_at = two.treasury.peers, two.books.directory.refresh
        assert peers is not None
        await settle(two, await reserve(two, 1), 1)
        held = [await reserve(two, 60) for _ in range(9)]
        await one.set_zone("Asia/Kathmandu")
        costs = iter(range(50, 59))

        async def refresh_late() -> None:
            if held:
                await settle(two, held.pop(), next(costs))
            await refresh_at()

        two.books.directory.refresh = refresh_late  # type: ignore[method-assign]
        asking = asyncio.ensure_future(reserve(one, 30))
        async with asyncio.timeout(10):
            while not asking.done():
                await peers.beat()
                await asyncio.sleep(0.1)
        ended = 9 - len(held)
        spent_pusd = 1 + sum(range(50, 50 + ended))
        assert 1 < ended < 9
        assert await stand(one, budget) == (spent_pusd, 30 + 60 * len(held))
        await settle(one, await asking, 30)
        await two.recorder.flush()
        assert await one.sum_pusd(budget) == spent_pusd + 30


class Load:
    """Calls of all lengths on some processes, and an account whose zone is changed meanwhile."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(SEED + seed)  # noqa: S311 - a plan, no secret
        self._running: dict[str, int] = {}
        self.spent_pusd = 0
        # Spent and held at once.
        self.most_pusd = 0

    async def run(self, houses: tuple[Treasure, ...], pause_s: float) -> None:
        """Call until the budget is used up."""
        changing = asyncio.ensure_future(self._change_zones(houses, pause_s))
        async with asyncio.timeout(30):
            await asyncio.gather(*(self._call(house) for house in houses for _ in range(24 // len(houses))))
        changing.cancel()
        with suppress(asyncio.CancelledError):
            await changing

    async def _call(self, house: Treasure) -> None:
        chance, running = self._chance, self._running
        while True:
            amount_pusd = chance.randint(1, 63)
            try:
                funds = await reserve(house, amount_pusd)
            except Fault as fault:
                if fault.code == "spending_limit":
                    return
                # The zone is changed faster than the ledger is read; who asks again at once lets nobody read it.
                assert fault.code == "service_unavailable"
                await asyncio.sleep(0.001)
                continue
            running[funds.doubt.request_id] = amount_pusd
            self.most_pusd = max(self.most_pusd, self.spent_pusd + sum(running.values()))
            await asyncio.sleep(chance.choice((0, 0.01, 0.05)))
            cost_pusd = chance.randint(0, amount_pusd)
            del running[funds.doubt.request_id]
            self.spent_pusd += cost_pusd
            await settle(house, funds, cost_pusd)

    async def _change_zones(self, houses: tuple[Treasure, ...], pause_s: float) -> None:
        number = 0
        while True:
            number += 1
            await self._chance.choice(houses).set_zone(ZONES[number % len(ZONES)])
            # Ever more slowly: on a slow machine too there is time to read the ledger between two changes.
            await asyncio.sleep(self._chance.uniform(0, pause_s) * (1 + number / 20))


@pytest.mark.parametrize("seed", range(4))
async def test_the_limit_holds_while_the_zone_is_changed(database: Database, tmp_path: Path, seed: int) -> None:
    """In one process."""
    load = Load(seed)
    async with treasure(database, tmp_path) as house:
        budget = await house.add(span="hour", limit_pusd=4_000)
        await load.run((house,), 0.05)
        assert load.most_pusd <= budget.limit_pusd
        assert await stand(house, budget) in ((load.spent_pusd, 0), (0, 0))
        assert await house.sum_pusd(budget) == load.spent_pusd


@pytest.mark.parametrize("seed", range(2))
async def test_the_limit_holds_while_the_zone_is_changed_in_two_processes(
    database: Database, tmp_path: Path, redis_url: str, seed: int
) -> None:
    """What is held and spent never passes the limit, and no call counts twice."""
    load = Load(seed)
    async with pair(database, tmp_path, redis_url) as (one, two):
        budget = await one.add(span="hour", limit_pusd=6_000)
        await two.books.directory.refresh()
        await load.run((one, two), 0.4)
        for house in (one, two):
            await house.recorder.flush()
            await house.books.directory.refresh()
        assert load.most_pusd <= budget.limit_pusd
        # The last line has counted calls from the middle of their way, if one has come to it.
        assert await stand(one, budget) in ((load.spent_pusd, 0), (0, 0))
        assert await one.sum_pusd(budget) == load.spent_pusd
