"""Re-rating: who owes what by the prices in force now, booked once whoever asks, and how often."""

import asyncio
from pathlib import Path

import pytest
from budget_world import ACCOUNT, KEY, PROJECT, Treasure, make_budget, row_of, treasure
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.accounts.audit import read_entries
from gateway.analytics.verify import find_differences
from gateway.analytics.verify_figures import find_differences as find_figure_differences
from gateway.budgets import rerating
from gateway.budgets.budget import tag_scope_id
from gateway.budgets.rerating import Owed, Wanted, rerate
from gateway.budgets.windows import ALWAYS
from gateway.db import Database
from gateway.ledger.row import UsageRow
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import PriceTable
from tests.gateway.usage_rows import NOW_NS

ALL = Wanted(from_ns=0, to_ns=2**63 - 1, books=True)
SCOPES = {"account": ACCOUNT, "project": PROJECT, "key": KEY, "tag": tag_scope_id(ACCOUNT, "red")}


def table(usd: str = "2", cached_usd: str | None = None) -> PriceTable:
    """A million tokens of gpt-4 cost this, whichever they are; those that the provider's cache had, the second."""
    row = PriceRow(
        provider="openai", model="gpt-4-0613", effective_from="2020-01-01", input=usd, cached_input=cached_usd
    )
    return PriceTable((), (row,))


async def run(database: Database, prices: PriceTable, wanted: Wanted = ALL) -> list[Owed]:
    """Re-rate, and give what was told of projects with a difference."""
    return [owed async for owed in rerate(database, prices, wanted, NOW_NS) if owed.calls]


async def store_rows(house: Treasure, *rows: UsageRow) -> None:
    """Have the database take rows."""
    for row in rows:
        house.recorder.record(row)
    await house.recorder.flush()


async def sums(house: Treasure) -> list[int]:
    """What account, project, key and tag have spent."""
    budgets = [make_budget(scope=scope, scope_id=scope_id) for scope, scope_id in SCOPES.items()]
    async with house.recorder.folding:
        return await house.treasury.spending.read(house.recorder, [(budget, ALWAYS) for budget in budgets])


async def test_what_was_charged_too_little_or_too_much_is_booked_once(database: Database, tmp_path: Path) -> None:
    """In every budget of the call, in the sums of usage and in the report; a second run finds nothing."""
    async with treasure(database, tmp_path) as house:
        # 150 tokens at 2 picodollars times a million each.
        too_little = row_of(cost_pusd=100, tags="red, blue")
        too_much = row_of(cost_pusd=10**9, lost_pusd=10**8)
        await store_rows(house, too_little, too_much, row_of(cost_pusd=300_000_000))
        before = await sums(house)
        (told,) = await run(database, table(), Wanted(from_ns=0, to_ns=2**63 - 1, books=False))
        assert await sums(house) == before
        (owed,) = await run(database, table())
        assert (owed.account_id, owed.project_id, owed.project) == (ACCOUNT, PROJECT, "p")
        assert (owed.rows, owed.calls, owed.old_pusd, owed.new_pusd) == (3, 2, 10**9 + 100, 700_000_000)
        assert (told.calls, told.delta_pusd) == (owed.calls, owed.delta_pusd)
        delta = owed.delta_pusd
        assert await sums(house) == [*(each + delta for each in before[:3]), 300_000_000]
        assert await run(database, table()) == []
        async with database.read() as connection:
            (entry,) = await read_entries(connection, ACCOUNT, 10)
        assert (entry.actor_kind, entry.action, entry.object_id) == ("command", "ledger.rerate", PROJECT)
        assert entry.detail == "-0.0003000001 USD for 2 calls"
        # By another price later; what was booked counts.
        (owed,) = await run(database, table("4"))
        assert (owed.calls, owed.delta_pusd) == (3, 900_000_000)
        assert await run(database, table("4")) == []
        assert [found async for found in find_differences(database)] == []


async def test_what_prompt_caches_saved_follows_the_price(database: Database, tmp_path: Path) -> None:
    """Up and down with it, once; the figures say the same as the rows with their corrections."""
    read = text("SELECT DISTINCT prompt_saved_high * 1000000 + prompt_saved_low FROM usage_figures")
    async with treasure(database, tmp_path) as house:
        unpriced = row_of(cost_basis="unpriced", cost_pusd=0, input_tokens=10, cache_read_tokens=40, tags="red")
        # Stored before there was this figure: what it cost is right.
        older = row_of(input_tokens=10, cache_read_tokens=40, output_tokens=0, cost_pusd=60_000_000)
        await store_rows(house, unpriced, older)
        for usd, cached_usd, saved in (("2", "1", 2 * 40_000_000), ("2", "0.5", 2 * 60_000_000), ("2", "2", 0)):
            prices = table(usd, cached_usd)
            (owed,) = await run(database, prices)
            assert owed.calls == 2
            assert await run(database, prices) == []
            async with database.read() as connection:
                assert list((await connection.execute(read)).scalars()) == [saved]
        assert [found async for found in find_differences(database)] == []
        assert [found async for found in find_figure_differences(database)] == []


async def test_what_no_price_changes_is_left_alone(database: Database, tmp_path: Path) -> None:
    """In doubt, at the bound, from the cache, free; and what has no price even now."""
    async with treasure(database, tmp_path) as house:
        final = [{"status": "in_doubt"}, {"cost_basis": "bound"}, {"is_cached": True}, {"cost_basis": "free"}]
        await store_rows(house, *(row_of(**each) for each in final), row_of(upstream_model="nobody's"))
        (owed,) = [owed async for owed in rerate(database, table(), ALL, NOW_NS)]
        assert (owed.rows, owed.final_rows, owed.unpriced_rows, owed.calls) == (5, 4, 1, 0)


async def test_a_period_has_its_edges(database: Database, tmp_path: Path) -> None:
    """The first moment is in it, the last is not."""
    async with treasure(database, tmp_path) as house:
        await store_rows(
            house, *(row_of(created_ns=NOW_NS + moment, cost_basis="unpriced") for moment in (4, 5, 9, 10))
        )
        (owed,) = await run(database, table(), Wanted(from_ns=NOW_NS + 5, to_ns=NOW_NS + 10, books=True))
        assert owed.calls == 2


async def test_two_at_once_book_once(database: Database, database_url: str, tmp_path: Path) -> None:
    """From two openings of one database, page by page, while a third stores rows."""
    async with treasure(database, tmp_path) as house:
        await store_rows(house, *(row_of(cost_pusd=1) for _ in range(40)))
        second = await Database.open(database_url, tmp_path)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(rerating, "PAGE_ROWS", 7)
            found = await asyncio.gather(
                run(database, table()), run(second, table()), store_rows(house, *(row_of() for _ in range(9)))
            )
        await second.close()
        await run(database, table())
        assert sum(owed.calls for each in found[:2] for owed in each) >= 40
        assert await sums(house) == [49 * 300_000_000] * 3 + [0]
        async with database.read() as connection:
            assert (await connection.execute(text("SELECT COUNT(*) FROM corrections"))).scalar_one() == 49


@settings(max_examples=9, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stop_after=st.integers(0, 8))
async def test_stopped_anywhere_it_goes_on(database: Database, tmp_path: Path, stop_after: int) -> None:
    """Between two pages, or inside one whose transaction is lost: what is booked is whole."""
    async with database.write() as connection:
        for name in ("corrections", "usage", "usage_rollups", "usage_days", "spend"):
            await connection.execute(text(f"DELETE FROM {name}"))  # noqa: S608 - constants
    async with treasure(database, tmp_path) as house:
        await store_rows(house, *(row_of(cost_pusd=1, tags="red") for _ in range(20)))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(rerating, "PAGE_ROWS", 3)
            patched.setattr(rerating, "PAUSE_S", 0)
            add, calls = rerating.Spending.add, 0

            async def add_or_die(*arguments: object) -> None:
                nonlocal calls
                calls += 1
                if calls > stop_after:
                    raise KeyboardInterrupt
                await add(*arguments)  # type: ignore[arg-type]

            patched.setattr(rerating.Spending, "add", add_or_die)
            try:
                await run(database, table())
            except KeyboardInterrupt:
                pass
            assert [found async for found in find_differences(database)] == []
            patched.setattr(rerating.Spending, "add", add)
            await run(database, table())
        assert await sums(house) == [20 * 300_000_000] * 4
        assert await run(database, table()) == []
