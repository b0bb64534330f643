"""What people do with budgets: make, see and delete them, tell of money spent elsewhere, and set a window back.

Failure behavior: raises DatabaseUnavailable as gateway.db does, and CountersUnavailable where Redis cannot be asked.
"""

import asyncio
from contextlib import suppress

import msgspec

from gateway.budgets import store
from gateway.budgets.budget import Action, Budget, Scope, Span
from gateway.budgets.keeping.books import Books
from gateway.budgets.keeping.treasury import Treasury
from gateway.budgets.store import Entry
from gateway.budgets.windows import Window, window_of
from gateway.counters.interface import LineCount, LineName
from gateway.db import DatabaseUnavailable
from gateway.ids import new_id

# More than a person needs, and few enough that each can be looked at.
MAX_BUDGETS = 1_000
_FLUSH_S = 2.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A budget as it is asked for, its scope resolved."""

    account_id: str | None
    scope: Scope
    scope_id: str
    span: Span
    limit_pusd: int
    action: Action
    thresholds: tuple[float, ...]


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """How a budget stands now."""

    budget: Budget
    window: Window
    spent_pusd: int
    held_pusd: int


class TooManyBudgets(Exception):
    """The account has as many budgets as one may have."""


async def create(treasury: Treasury, wanted: Wanted) -> BudgetState:
    """Make a budget, kept by this process from now on and by the others within 1 s. Raises TooManyBudgets."""
    now_ns = treasury.books.now_ns()
    budget = Budget(budget_id=f"bud_{new_id(now_ns)}", created_ns=now_ns, **msgspec.structs.asdict(wanted))
    async with treasury.database.write() as connection:
        if await store.count_own(connection, wanted.account_id) >= MAX_BUDGETS:
            raise TooManyBudgets
        await store.insert(connection, budget)
    await _spread(treasury)
    standing = treasury.books.directory.get(budget.budget_id)
    (view,) = await look(treasury, [budget if standing is None else standing.budget])
    return view


async def list_own(treasury: Treasury, account_id: str | None, *, with_operators: bool) -> list[BudgetState]:
    """List an account's budgets as they stand now."""
    async with treasury.database.read() as connection:
        budgets = await store.list_own(connection, account_id, with_operators=with_operators)
    return await look(treasury, budgets)


async def delete(treasury: Treasury, budget_id: str) -> None:
    """Let a budget refuse no more."""
    async with treasury.database.write() as connection:
        await store.delete(connection, budget_id, treasury.books.now_ns())
    await _spread(treasury)


async def _spread(treasury: Treasury) -> None:
    """Take a change over, and have the other processes do the same now."""
    await treasury.books.directory.refresh()
    if treasury.peers is not None:
        await treasury.peers.ask()


async def look(treasury: Treasury, budgets: list[Budget]) -> list[BudgetState]:
    """Tell how budgets stand: what the ledger says, with what is held."""
    if not budgets:
        return []
    books, now_ns = treasury.books, treasury.books.now_ns()
    wanted = [(budget, window_of(budget.span, budget.zone, now_ns)) for budget in budgets]
    names = [LineName(budget_key=budget.budget_id, window_key=window.key) for budget, window in wanted]
    if treasury.recorder.has_rows_on_disk_alone:
        # Where this takes too long the sum is refused below.
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await treasury.recorder.flush()
    async with treasury.recorder.folding:
        sums = await treasury.spending.read(treasury.recorder, wanted)
        # In one process nothing is awaited in between.
        counts = _look_locally(books, names) if books.local is not None else await books.counters.look(names)
    views: list[BudgetState] = []
    for (budget, window), total, count in zip(wanted, sums, counts, strict=True):
        # Through Redis other processes may have recorded what only their journals have: the counter knows.
        spent = total if count is None or books.local is not None else count.spent_pusd
        held = 0 if count is None else count.held_pusd
        views.append(BudgetState(budget=budget, window=window, spent_pusd=max(spent, 0), held_pusd=held))
    return views


async def look_at_account(treasury: Treasury, account_id: str, *, with_credit: bool = False) -> list[BudgetState]:
    """Tell how the budgets on a whole account stand, and where that is asked its credit."""
    standings = treasury.books.directory.of_account(account_id, with_credit=with_credit)
    return await look(treasury, [standing.budget for standing in standings])


async def sum_month(treasury: Treasury, account_id: str, zone: str) -> int:
    """Tell what an account has spent this month, whether or not a budget asks."""
    now_ns = treasury.books.now_ns()
    month = _month_of(account_id, zone, now_ns)
    (view,) = await look(treasury, [month])
    return view.spent_pusd


async def record_spending(treasury: Treasury, account_id: str, amount_pusd: int, made_by: str | None) -> None:
    """Book money that the account spent elsewhere; it counts in every window of the account."""
    await _book(treasury, account_id, "spending", None, amount_pusd, made_by)


async def reset(treasury: Treasury, account_id: str, span: Span, zone: str, made_by: str | None) -> None:
    """Set what an account has spent in the window of now to 0, by an entry that says so; other windows keep theirs."""
    now_ns = treasury.books.now_ns()
    shape = msgspec.structs.replace(_month_of(account_id, zone, now_ns), span=span)
    (view,) = await look(treasury, [shape])
    standings = [found for found in treasury.books.directory.of_account(account_id) if found.budget.span == span]
    if standings:
        view = (await look(treasury, [standings[0].budget]))[0]
    await _book(treasury, account_id, "reset", span, -view.spent_pusd, made_by)


async def _book(  # noqa: PLR0913, PLR0917 - the words of an entry
    treasury: Treasury, account_id: str, kind: str, span: Span | None, amount_pusd: int, made_by: str | None
) -> None:
    books, now_ns = treasury.books, treasury.books.now_ns()
    entry = Entry(
        entry_id=f"ent_{new_id(now_ns)}",
        account_id=account_id,
        kind=kind,
        span=span,
        amount_pusd=amount_pusd,
        made_by=made_by,
        created_ns=now_ns,
    )
    # Whoever seeds a line holds this too: a seed has the entry, or the line gets it afterwards.
    async with treasury.recorder.folding:
        async with treasury.database.write() as connection:
            await store.insert_entry(connection, entry)
        concerned = [
            found for found in books.directory.of_account(account_id) if span is None or found.budget.span == span
        ]
        books.adjust(concerned, now_ns, amount_pusd)
        # A threshold is told of at once, by the ledger, whether or not a call has begun a counter; where it cannot be
        # read, the next call tells. The entry is booked, so nothing is refused any more.
        with suppress(DatabaseUnavailable):
            wanted = [(standing.budget, standing.window_at(now_ns)) for standing in concerned]
            for standing, total in zip(concerned, await treasury.spending.read(treasury.recorder, wanted), strict=True):
                books.note_spent(standing, now_ns, max(total, 0))


def _month_of(account_id: str, zone: str, now_ns: int) -> Budget:
    """The month of an account as a budget that nobody made."""
    return Budget(
        budget_id="",
        account_id=account_id,
        scope="account",
        scope_id=account_id,
        span="month",
        limit_pusd=0,
        created_ns=now_ns,
        zone=zone,
    )


def _look_locally(books: Books, names: list[LineName]) -> tuple[LineCount | None, ...]:
    assert books.local is not None, "asked in one process only"  # noqa: S101 - for the type checkers
    return books.local.look(names)
