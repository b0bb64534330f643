"""Reservations: settled and held money never passes a limit, and the counter is the ledger's sum."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from budget_world import ACCOUNT, KEY, Treasure, row_of, treasure
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.budgets.bound import Bound
from gateway.budgets.keeping.funds import Funds
from gateway.db import Database
from gateway.errors import Fault
from tests.gateway.usage_rows import NOW_NS


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind is enough here."""
    return f"sqlite:///{tmp_path / 'test.db'}"


async def reserve(house: Treasure, amount_pusd: int, **fields: Any) -> Funds:
    """Hold this, and no less tight a bound can be had."""
    wish = house.wish(amount_pusd, **fields)

    async def tighten() -> Bound:
        return wish.bound

    return house.reserve_at_once(wish) or await house.keeper.reserve(wish, tighten)


def settle(house: Treasure, funds: Funds, cost_pusd: int) -> None:
    """End a call with its row."""
    row = row_of(request_id=funds.doubt.request_id, cost_pusd=cost_pusd)
    funds.settle(cost_pusd)
    house.recorder.record(row)


async def stand(house: Treasure, budget_id: str) -> tuple[int, int]:
    """Spent and held, as the counter has it."""
    standing = house.books.directory.get(budget_id)
    assert standing is not None
    line = standing.line_at(NOW_NS)
    (count,) = await house.books.counters.look([line])  # type: ignore[list-item]
    return (0, 0) if count is None else (count.spent_pusd, count.held_pusd)


async def test_every_budget_of_a_call_holds_or_none(database: Database, tmp_path: Path) -> None:
    """The first that has no room is named, and the others are as before."""
    async with treasure(database, tmp_path) as house:
        wide = await house.add(scope="key", scope_id=KEY, limit_pusd=10_000)
        tight = await house.add(scope="account", scope_id=ACCOUNT, limit_pusd=150)
        first = await reserve(house, 100)
        assert (await stand(house, wide.budget_id), await stand(house, tight.budget_id)) == ((0, 100), (0, 100))
        with pytest.raises(Fault) as refused:
            await reserve(house, 200)
        assert refused.value.details["budget_id"] == tight.budget_id
        assert refused.value.details["held_usd"] == "0.0000000001"
        settle(house, first, 40)
        assert (await stand(house, wide.budget_id), await stand(house, tight.budget_id)) == ((40, 0), (40, 0))


async def test_a_reply_is_cut_to_what_is_left_and_not_below_use(database: Database, tmp_path: Path) -> None:
    """A token costs a picodollar here; 64 are the least that is of use."""
    async with treasure(database, tmp_path) as house:
        await house.add(limit_pusd=100)
        funds = await reserve(house, 1_000)
        assert (funds.max_tokens, funds.doubt.cost_pusd) == (100, 100)
        settle(house, funds, 37)
        with pytest.raises(Fault, match="no room"):
            await reserve(house, 1_000)
        # A call that asks for less than that is let through as it is.
        funds = await reserve(house, 63)
        assert funds.max_tokens is None
        funds.release()
        funds.release()
        assert (await reserve(house, 63)).is_open


async def test_a_budget_that_refuses_a_small_call_tells_of_its_limit_once(database: Database, tmp_path: Path) -> None:
    """It is never spent to the last: nothing that is of use fits any more, and its owner has to know."""
    async with treasure(database, tmp_path) as house:
        await house.add(limit_pusd=2_000, thresholds=(0.99, 1.0, 1.5))
        settle(house, await reserve(house, 1_950), 1_950)
        assert not house.books.crossings
        for _ in range(2):
            with pytest.raises(Fault, match="no room"):
                await reserve(house, 100)
        found = [(crossing.threshold, crossing.spent_pusd) for crossing in house.books.crossings]
        assert found == [(0.99, 1_950), (1.0, 1_950)]
        settle(house, await reserve(house, 50), 50)
        assert len(house.books.crossings) == 2


@pytest.mark.parametrize(("limit", "spent", "held"), [(1_000, 950, 0), (2_000, 0, 1_950), (2_000, 1_000, 950)])
async def test_a_call_that_is_refused_for_itself_or_for_others_tells_of_no_limit(
    database: Database, tmp_path: Path, limit: int, spent: int, held: int
) -> None:
    """One that is large beside the budget, and one that may fit once running calls have settled."""
    async with treasure(database, tmp_path) as house:
        await house.add(limit_pusd=limit, thresholds=(1.0,))
        settle(house, await reserve(house, spent), spent)
        await reserve(house, held)
        with pytest.raises(Fault, match="no room"):
            await reserve(house, 100)
        assert not house.books.crossings


async def test_the_calls_own_cap_holds_without_a_budget(database: Database, tmp_path: Path) -> None:
    """It cuts as a budget does, and holds nothing."""
    async with treasure(database, tmp_path) as house:
        funds = await reserve(house, 1_000, cap_pusd=70)
        assert (funds.max_tokens, funds.is_open) == (70, False)
        assert not await house.keeper.reserve_more(funds, 2)
        refused = await reserve(house, 1_000, cap_pusd=63)
        assert refused.refusal is not None
        assert refused.refusal.details["budget_id"] is None
        assert (refused.max_tokens, refused.is_open) == (None, False)


async def test_who_may_not_pay_may_have_what_is_free_while_the_budget_has_room(
    database: Database, tmp_path: Path
) -> None:
    """Room for the shortest call; the budget refuses before the cap does."""
    async with treasure(database, tmp_path) as house:
        budget = await house.add(limit_pusd=100)
        refused = await reserve(house, 1_000, cap_pusd=0)
        assert refused.refusal is not None
        assert await stand(house, budget.budget_id) == (0, 64)
        with pytest.raises(Fault, match="no room"):
            await reserve(house, 1_000, cap_pusd=0)
        refused.release()
        assert await stand(house, budget.budget_id) == (0, 0)


async def test_a_further_try_needs_room_of_its_own(database: Database, tmp_path: Path) -> None:
    """Both are ended by one row."""
    async with treasure(database, tmp_path) as house:
        budget = await house.add(limit_pusd=250)
        funds = await reserve(house, 100)
        assert await house.keeper.reserve_more(funds, 2)
        assert not await house.keeper.reserve_more(funds, 3)
        assert await stand(house, budget.budget_id) == (0, 200)
        settle(house, funds, 150)
        assert await stand(house, budget.budget_id) == (150, 0)


@pytest.mark.parametrize("folds", [True, False])
async def test_a_counter_begins_with_the_ledgers_sum(database: Database, tmp_path: Path, folds: bool) -> None:
    """Stored rows and waiting ones; of a thousand that are recorded meanwhile each counts once."""
    async with treasure(database, tmp_path, folds=folds) as house:
        for _ in range(50):
            house.recorder.record(row_of(cost_pusd=3))
        budget = await house.add(limit_pusd=10**9)
        funds = await asyncio.gather(*(reserve(house, 100) for _ in range(200)))
        for number, held in enumerate(funds):
            settle(house, held, number)
            if not number % 50:
                await asyncio.sleep(0)
        assert await stand(house, budget.budget_id) == (150 + sum(range(200)), 0)
        assert await house.sum_pusd(budget) == 150 + sum(range(200))


async def test_a_thousand_callers_share_one_budget(database: Database, tmp_path: Path) -> None:
    """At most what fits is ever held; the overshoot is exactly 0."""
    async with treasure(database, tmp_path) as house:
        budget = await house.add(limit_pusd=5_000)
        most = 0

        async def call(number: int) -> bool:
            nonlocal most
            try:
                funds = await reserve(house, 64)
            except Fault as fault:
                assert fault.code == "spending_limit"
                return False
            spent, held = await stand(house, budget.budget_id)
            most = max(most, spent + held)
            await asyncio.sleep(0)
            settle(house, funds, number % 65)
            return True

        answers = await asyncio.gather(*(call(number) for number in range(1_000)))
        spent, held = await stand(house, budget.budget_id)
        assert (held, spent) == (0, await house.sum_pusd(budget))
        assert most <= 5_000
        assert sum(answers) >= 5_000 // 64


async def test_without_the_database_a_new_line_lets_nothing_pass(database: Database, tmp_path: Path) -> None:
    """503; a line that has begun needs no database."""
    async with treasure(database, tmp_path, folds=False) as house:
        await house.add(limit_pusd=10_000)
        first = await reserve(house, 100)
        await house.add(scope="key", scope_id=KEY, limit_pusd=10_000)
        house.recorder._spilled = 1

        async def wait() -> None:
            """The database takes nothing."""

        house.recorder.flush = wait  # type: ignore[method-assign]
        with pytest.raises(Fault) as refused:
            await reserve(house, 100)
        assert refused.value.status == 503
        house.recorder._spilled = 0
        settle(house, first, 1)


async def test_a_budget_that_comes_later_holds_for_running_calls(database: Database, tmp_path: Path) -> None:
    """On its own line from its beginning, further tries too, and whichever way the calls were let in."""
    async with treasure(database, tmp_path) as house:
        await house.add(limit_pusd=1_000)
        seeding, plain, free = [await reserve(house, 100) for _ in range(3)]
        assert await house.keeper.reserve_more(plain, 2)
        late = await house.add(scope="key", scope_id=KEY, limit_pusd=480)
        other = await house.add(scope="tag", scope_id=f"{ACCOUNT}/b", limit_pusd=450)
        last = await reserve(house, 100, tags="b")
        assert last.max_tokens == 80
        assert (await stand(house, late.budget_id), await stand(house, other.budget_id)) == ((0, 480), (0, 80))
        settle(house, seeding, 40)
        settle(house, plain, 110)
        free.release()
        assert await stand(house, late.budget_id) == (150, 80)
        assert {standing.budget.budget_id for standing in plain.standings} >= {late.budget_id}
        settle(house, last, 20)
        assert await stand(house, late.budget_id) == (170, 0)
        assert await house.sum_pusd(late) == 170


async def test_a_zone_that_comes_back_finds_no_counter_of_before(database: Database, tmp_path: Path) -> None:
    """Each change begins anew at what the ledger says, so the limit is one, whichever zones the account has had."""
    async with treasure(database, tmp_path) as house:
        budget = await house.add(span="month", limit_pusd=1_000)
        spent = 0
        for zone in ("Asia/Tokyo", "UTC", "Asia/Tokyo", "Asia/Kathmandu", "UTC"):
            settle(house, await reserve(house, 150), 150)
            spent += 150
            assert await stand(house, budget.budget_id) == (spent, 0)
            await house.set_zone(zone)
        last = await reserve(house, 1_000)
        assert last.max_tokens == 250
        assert await stand(house, budget.budget_id) == (750, 250)


async def test_calls_that_run_as_the_zone_is_changed_are_held_on_the_new_line(
    database: Database, tmp_path: Path
) -> None:
    """Further tries too; a total, whose window is the same in every zone, keeps its line."""
    async with treasure(database, tmp_path) as house:
        budget = await house.add(limit_pusd=420)
        total = await house.add(span="total", limit_pusd=10_000)
        old = [await reserve(house, 100) for _ in range(2)]
        await house.set_zone("Asia/Tokyo")
        new = await reserve(house, 100)
        assert await house.keeper.reserve_more(old[0], 2)
        assert (await stand(house, budget.budget_id), await stand(house, total.budget_id)) == ((0, 400), (0, 400))
        with pytest.raises(Fault, match="no room"):
            await reserve(house, 21)
        for funds, cost in ((old[0], 130), (old[1], 20), (new, 3)):
            settle(house, funds, cost)
        assert (await stand(house, budget.budget_id), await stand(house, total.budget_id)) == ((153, 0), (153, 0))
        assert await house.sum_pusd(budget) == 153


async def test_a_call_that_asks_as_the_zone_is_changed_is_held_on_the_new_line(
    database: Database, tmp_path: Path
) -> None:
    """While its input is counted, and while the ledger is read for it: a line that is over counts nothing."""
    async with treasure(database, tmp_path) as house:
        budget = await house.add(limit_pusd=100)
        wish = house.wish(1_000)

        async def tighten() -> Bound:
            await house.set_zone("Asia/Tokyo")
            await reserve(house, 36)
            return wish.bound

        settle(house, await reserve(house, 0), 0)
        assert (await house.keeper.reserve(wish, tighten)).max_tokens == 64
        assert await stand(house, budget.budget_id) == (0, 100)
        read, zones = house.treasury.spending.read, ["Asia/Kathmandu"]

        async def read_as_it_changes(*asked: Any) -> list[int]:
            sums = await read(*asked)
            if zones:
                await house.set_zone(zones.pop())
            return sums

        with patch.object(house.treasury.spending, "read", read_as_it_changes):
            await house.set_zone("UTC")
            with pytest.raises(Fault, match="no room"):
                await reserve(house, 1)
        assert await stand(house, budget.budget_id) == (0, 100)


# In each of them the hour of all calls is another.
ZONES = ("UTC", "Asia/Kathmandu", "Asia/Kolkata")
STEP = st.one_of(
    st.tuples(st.just("reserve"), st.integers(1, 200)),
    st.tuples(st.just("settle"), st.integers(0, 200)),
    st.tuples(st.just("release"), st.integers(0, 200)),
    st.tuples(st.just("more"), st.integers(0, 200)),
    st.tuples(st.just("fold"), st.just(0)),
    st.tuples(st.just("zone"), st.sampled_from(ZONES)),
)


async def go_on(house: Treasure, calls: list[tuple[Funds, int]], act: str, number: int) -> int:
    """Let one of the calls try again or end; tells what it cost."""
    funds, tries = calls.pop(number % len(calls))
    if act == "more":
        calls.append((funds, tries + await house.keeper.reserve_more(funds, tries + 1)))
    elif act == "release":
        funds.release()
    else:
        cost = number % (tries * funds.bound.pusd + 1)
        settle(house, funds, cost)
        return cost
    return 0


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=40), limits=st.tuples(st.integers(0, 600), st.integers(0, 600)))
async def test_settled_and_held_never_pass_a_limit(
    database: Database, tmp_path_factory: pytest.TempPathFactory, steps: list[Any], limits: tuple[int, int]
) -> None:
    """Whatever callers do, on two budgets at once; the counters agree with a model that adds and with the ledger."""
    async with database.write() as connection:
        for statement in ("DELETE FROM budgets", "DELETE FROM spend", "DELETE FROM usage"):
            await connection.exec_driver_sql(statement)
    async with treasure(database, tmp_path_factory.mktemp("steps")) as house:
        budgets = [
            await house.add(span="hour", limit_pusd=limits[0]),
            await house.add(scope="account", scope_id=ACCOUNT, span="total", limit_pusd=limits[1]),
        ]
        calls: list[tuple[Funds, int]] = []
        spent = 0
        for act, number in steps:
            if act == "reserve":
                with suppress(Fault):
                    calls.append((await reserve(house, number), 1))
            elif act == "fold":
                await house.recorder.flush()
            elif act == "zone":
                await house.set_zone(number)
            elif calls:
                spent += await go_on(house, calls, act, number)
            held = sum(tries * funds.bound.pusd for funds, tries in calls)
            for budget in budgets:
                assert spent + held <= budget.limit_pusd
                # A line that no call has come to yet has no counter.
                assert await stand(house, budget.budget_id) in ((spent, held), (0, 0))
        for budget in budgets:
            assert await house.sum_pusd(budget) == spent
