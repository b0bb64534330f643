"""The SQL of budgets on both databases: changes are followed by revision, sums are exact."""

from pathlib import Path

import pytest
from budget_world import ACCOUNT, KEY, PROJECT, make_budget, treasure
from sqlalchemy.exc import IntegrityError

from gateway.budgets import store
from gateway.budgets.store import Entry
from gateway.budgets.windows import ALWAYS, SLOT_NS, Window
from gateway.db import Database
from tests.gateway.usage_rows import NOW_NS

SLOT = NOW_NS // SLOT_NS
HERE = Window(SLOT * SLOT_NS, (SLOT + 1) * SLOT_NS)


async def test_changes_are_read_by_revision(database: Database) -> None:
    """Made and deleted; a database that was put back is read from its beginning."""
    first, second = make_budget(), make_budget(thresholds=(0.25,))
    async with database.write() as connection:
        await store.insert(connection, first)
    assert await store.read_changes(database, 0) == (1, [first])
    async with database.write() as connection:
        await store.insert(connection, second)
        await store.delete(connection, first.budget_id, 7)
    revision, changed = await store.read_changes(database, 1)
    assert (revision, [(b.budget_id, b.deleted_ns) for b in changed]) == (
        3,
        [(second.budget_id, None), (first.budget_id, 7)],
    )
    assert await store.read_changes(database, 3) == (3, [])
    assert len((await store.read_changes(database, 9))[1]) == 2
    async with database.read() as connection:
        assert await store.list_own(connection, ACCOUNT, with_operators=False) == [second]
        assert await store.list_own(connection, "acct_2", with_operators=True) == []
        assert await store.count_own(connection, ACCOUNT) == 1
        assert await store.count_own(connection, None) == 0


async def test_sums_are_exact_beyond_a_double(database: Database) -> None:
    """Of the slots of a window alone, and above nine million dollars."""
    budget = make_budget()
    huge = 9 * 10**18 + 1
    spent = {("project", PROJECT, SLOT - 1): 5, ("project", PROJECT, SLOT): huge, ("project", "other", SLOT): 3}
    async with database.write() as connection:
        await store.add_spend(connection, spent)
        await store.add_spend(connection, {("project", PROJECT, SLOT - 1): huge})
    async with database.read() as connection:
        assert await store.sum_window(connection, budget, HERE) == huge
        assert await store.sum_window(connection, budget, ALWAYS) == 2 * huge + 5


async def test_entries_count_in_their_windows(database: Database) -> None:
    """Spending in all of the account's, a reset in those of its length, a credit in none."""
    entries = [("spending", None, 50), ("reset", "day", -30), ("credit", None, 10**12)]
    async with database.write() as connection:
        for number, (kind, span, amount) in enumerate(entries):
            entry = Entry(
                entry_id=str(number),
                account_id=ACCOUNT,
                kind=kind,
                span=span,  # type: ignore[arg-type]
                amount_pusd=amount,
                created_ns=NOW_NS,
            )
            await store.insert_entry(connection, entry)
    async with database.read() as connection:
        for span, expected in (("day", 20), ("month", 50)):
            budget = make_budget(scope="account", scope_id=ACCOUNT, span=span)
            assert await store.sum_window(connection, budget, HERE) == expected
        assert await store.sum_window(connection, make_budget(), HERE) == 0


async def test_owners_are_found(database: Database, tmp_path: Path) -> None:
    """Of projects; a key that is not there has none."""
    async with treasure(database, tmp_path), database.read() as connection:
        assert await store.find_owner(connection, "project", PROJECT) == (ACCOUNT,)
        assert await store.find_owner(connection, "key", KEY) is None
        assert await store.read_accounts(connection, [PROJECT, "proj_9"]) == {PROJECT: ACCOUNT, "proj_9": None}


async def test_a_zone_is_set_and_told(database: Database, tmp_path: Path) -> None:
    """Every process follows it like a change of the budget itself."""
    async with treasure(database, tmp_path) as house:
        budget = await house.add()
        async with database.write() as connection:
            await store.set_zone(connection, ACCOUNT, "Asia/Tokyo")
        await house.books.directory.refresh()
        standing = house.books.directory.get(budget.budget_id)
        assert standing is not None
        assert standing.budget.zone == "Asia/Tokyo"
        async with database.read() as connection:
            assert await store.read_zone(connection, ACCOUNT) == "Asia/Tokyo"


async def test_credits_add_up_in_one_balance(database: Database) -> None:
    """A second credit raises the first one's limit; an account has one balance."""
    balance = make_budget(kind="credits", scope="account", scope_id=ACCOUNT, span="total")
    for number in (1, 2):
        entry = Entry(entry_id=str(number), account_id=ACCOUNT, kind="credit", amount_pusd=10, created_ns=NOW_NS)
        async with database.write() as connection:
            await store.add_credits(connection, balance, entry)
    _, (found,) = await store.read_changes(database, 0)
    assert (found.limit_pusd, found.kind) == (20, "credits")
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await store.insert(connection, make_budget(kind="credits"))
