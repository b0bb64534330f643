"""What people do with budgets: make, see and delete them, tell of money spent elsewhere, and set a window back.

Failure behavior: raises DatabaseUnavailable as gateway.db does, and CountersUnavailable where Redis cannot be asked how
something stands. A change is one transaction with its entry in the audit log. What was stored is never told as if it
were not: it is answered with what is known.
"""

import asyncio
import logging
from contextlib import suppress

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.audit import Actor, Deed, append_entry
from gateway.budgets import store
from gateway.budgets.budget import Action, Budget, Scope, Span
from gateway.budgets.directory import Standing
from gateway.budgets.keeping.books import Books
from gateway.budgets.keeping.funds import list_funds
from gateway.budgets.keeping.treasury import Treasury
from gateway.budgets.store import Entry
from gateway.budgets.windows import SLOT_NS, Window, window_of
from gateway.counters.interface import MAX_PUSD, CountersUnavailable, LineCount, LineName
from gateway.db import DatabaseUnavailable
from gateway.ids import new_id
from gateway.ledger.row import UsageRow
from providers.pricing.prices import format_usd

# More than a person needs, and few enough that each can be looked at.
MAX_BUDGETS = 1_000
_FLUSH_S = 2.0
# A process that has not beaten for peers.LIFE_NS is taken as dead before that.
SPREAD_S = 8.0
_log = logging.getLogger(__name__)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A budget as it is asked for, its scope resolved."""

    account_id: str | None
    scope: Scope
    scope_id: str
    span: Span
    limit_pusd: int
    action: Action
    thresholds: tuple[float, ...]
    # Who asks.
    actor: Actor


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """How a budget stands now."""

    budget: Budget
    window: Window
    spent_pusd: int
    held_pusd: int


class TooManyBudgets(Exception):
    """The account has as many budgets as one may have."""


async def create(treasury: Treasury, wanted: Wanted) -> BudgetState:
    """Make a budget, which every living process keeps from the answer on. Raises TooManyBudgets.

    Once it is stored nothing is raised any more: an answer that it is not there would have it made a second time.
    """
    books = treasury.books
    now_ns = books.now_ns()
    words = {name: value for name, value in msgspec.structs.asdict(wanted).items() if name != "actor"}
    budget = Budget(budget_id=f"bud_{new_id(now_ns)}", created_ns=now_ns, **words)
    await _flush(treasury)
    async with treasury.recorder.folding, treasury.database.write() as connection:
        await store.delete_orphaned(connection, wanted.account_id, now_ns)
        if await store.count_own(connection, wanted.account_id) >= MAX_BUDGETS:
            raise TooManyBudgets
        await store.insert(connection, budget)
        await _note_budget(connection, wanted.actor, "budget.create", budget, now_ns)
        budget = await store.read(connection, budget.budget_id)
        window = window_of(budget.span, budget.zone, now_ns)
        (known_pusd,) = await treasury.spending.read_in(connection, treasury.recorder, [(budget, window)])
    await spread(treasury)
    standing = books.directory.get(budget.budget_id)
    if standing is not None:
        # Its window may have begun long ago.
        books.look_up(standing)
    with suppress(CountersUnavailable, DatabaseUnavailable):
        (view,) = await look(treasury, [budget])
        return view
    return BudgetState(budget=budget, window=window, spent_pusd=max(known_pusd, 0), held_pusd=0)


async def list_own(treasury: Treasury, account_id: str | None, *, with_operators: bool) -> list[BudgetState]:
    """List an account's budgets as they stand now."""
    async with treasury.database.read() as connection:
        budgets = await store.list_own(connection, account_id, with_operators=with_operators)
    return await look(treasury, budgets)


async def delete(treasury: Treasury, budget: Budget, actor: Actor) -> None:
    """Let a budget refuse no more."""
    now_ns = treasury.books.now_ns()
    async with treasury.database.write() as connection:
        if await store.delete(connection, budget.budget_id, now_ns):
            await _note_budget(connection, actor, "budget.delete", budget, now_ns)
    await spread(treasury)


async def spread(treasury: Treasury) -> None:
    """Have this process and every other that lives keep a change that is stored; returns when all do.

    Raises nothing, for the change is made: who does not follow in time is told of in the log, and follows by itself.
    """
    try:
        async with asyncio.timeout(SPREAD_S):
            await treasury.books.directory.refresh()
            if treasury.peers is not None:
                await treasury.peers.spread()
    except (DatabaseUnavailable, TimeoutError) as error:
        reason = str(error) or f"not all processes have answered within {SPREAD_S:g} s"
        _log.warning("a change of budgets is stored, and followed later than it was answered: %s", reason)


async def look(treasury: Treasury, budgets: list[Budget]) -> list[BudgetState]:
    """Tell how budgets stand: what the ledger says, with what is held."""
    if not budgets:
        return []
    books, now_ns = treasury.books, treasury.books.now_ns()
    wanted = [(budget, window_of(budget.span, budget.zone, now_ns)) for budget in budgets]
    names = [LineName(budget_key=budget.line_key, window_key=window.key) for budget, window in wanted]
    await _flush(treasury)
    async with treasury.recorder.folding:
        sums = await treasury.spending.read(treasury.recorder, wanted, lambda: [row for row, _ in _list_held(books)])
        # In one process nothing is awaited in between.
        counts = _look_locally(books, names) if books.local is not None else await books.counters.look(names)
    views, running = list[BudgetState](), _list_held(books)
    for (budget, window), total, count in zip(wanted, sums, counts, strict=True):
        # Through Redis other processes may have recorded what only their journals have: the counter knows.
        spent = total if count is None or books.local is not None else count.spent_pusd
        held = _sum_held(treasury, running, budget, window) if count is None else count.held_pusd
        views.append(BudgetState(budget=budget, window=window, spent_pusd=max(spent, 0), held_pusd=held))
    return views


async def look_at_account(treasury: Treasury, account_id: str, *, with_credit: bool = False) -> list[BudgetState]:
    """Tell how the budgets on a whole account stand, and where that is asked its credit."""
    return await look(treasury, _budgets(treasury.books.directory.of_account(account_id, with_credit=with_credit)))


async def sum_month(treasury: Treasury, account_id: str, zone: str) -> int:
    """Tell what an account has spent this month, whether or not a budget asks."""
    now_ns = treasury.books.now_ns()
    month = _month_of(account_id, zone, now_ns)
    (view,) = await look(treasury, [month])
    return view.spent_pusd


async def record_spending(treasury: Treasury, account_id: str, amount_pusd: int, actor: Actor) -> int:
    """Book money that the account spent elsewhere; it counts in every window of the account. Returns its month."""
    now_ns = treasury.books.now_ns()
    await _gather(treasury)
    async with treasury.recorder.folding:
        async with treasury.database.write() as connection:
            entry = _entry(account_id, "spending", None, amount_pusd, actor, now_ns)
            await store.insert_entry(connection, entry)
            await _note_booked(connection, actor, entry)
            month = _month_of(account_id, await store.read_zone(connection, account_id), now_ns)
            concerned = treasury.books.directory.of_account(account_id)
            month_pusd, *totals = await _sum(treasury, connection, [month, *_budgets(concerned)], now_ns)
        _count(treasury.books, concerned, totals, amount_pusd, now_ns)
    return max(month_pusd, 0)


async def reset(treasury: Treasury, account_id: str, span: Span, actor: Actor) -> None:
    """Set what an account has spent in the window of now to 0, by entries that say so; other spans keep it.

    Each quarter of an hour of the window is set back by itself. Whatever window of this length it lies in after the
    account's zone was changed counts of it what came since.
    """
    now_ns = treasury.books.now_ns()
    await _gather(treasury)
    async with treasury.recorder.folding:
        async with treasury.database.write() as connection:
            # What is read here nobody else may set back before it is booked.
            await store.lock_account(connection, account_id)
            month = _month_of(account_id, await store.read_zone(connection, account_id), now_ns)
            shape = msgspec.structs.replace(month, span=span)
            slots = await _read_slots(treasury, connection, shape, now_ns)
            total = sum(slots.values())
            spent_pusd = max(total, 0)
            entry = _entry(account_id, "reset", span, 0, actor, now_ns)
            for slot, pusd in slots.items() if total > 0 else [(now_ns // SLOT_NS, 0)]:
                for part_pusd in _parts(-pusd):
                    entry = _entry(account_id, "reset", span, part_pusd, actor, now_ns)
                    await store.insert_entry(connection, msgspec.structs.replace(entry, created_ns=slot * SLOT_NS))
            await _note_booked(connection, actor, msgspec.structs.replace(entry, amount_pusd=-spent_pusd))
        concerned = [found for found in treasury.books.directory.of_account(account_id) if found.budget.span == span]
        _count(treasury.books, concerned, [total - spent_pusd] * len(concerned), -spent_pusd, now_ns)


def _count(books: Books, concerned: list[Standing], totals: list[int], amount_pusd: int, now_ns: int) -> None:
    """Have the budgets' counters know what was booked, and tell of the thresholds that their ledger's sums reach.

    Whether or not a call has begun a counter. In the turn in which the entry was stored, the recorder's ``folding``
    held: whoever seeds a line holds that too, so a seed has the entry, or the line gets it afterwards.
    """
    books.adjust(concerned, now_ns, amount_pusd)
    for standing, total in zip(concerned, totals, strict=True):
        books.note_spent(standing, now_ns, max(total, 0))


async def _sum(treasury: Treasury, connection: AsyncConnection, budgets: list[Budget], now_ns: int) -> list[int]:
    """Sum up the windows of now inside a transaction."""
    wanted = [(budget, window_of(budget.span, budget.zone, now_ns)) for budget in budgets]
    return await treasury.spending.read_in(connection, treasury.recorder, wanted)


async def _read_slots(treasury: Treasury, connection: AsyncConnection, shape: Budget, now_ns: int) -> dict[int, int]:
    """Sum up the window of now by quarters of an hour; one that never ends is the same in every zone, and one sum."""
    window = window_of(shape.span, shape.zone, now_ns)
    if window.resets_ns is None:
        (total,) = await treasury.spending.read_in(connection, treasury.recorder, [(shape, window)])
        return {now_ns // SLOT_NS: total}
    slots = await treasury.spending.read_slots(connection, treasury.recorder, shape, window)
    return {slot: pusd for slot, pusd in slots.items() if pusd}


async def _gather(treasury: Treasury) -> None:
    """Store what all processes have recorded; of one that does not answer what is stored counts."""
    await _flush(treasury)
    if treasury.peers is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(SPREAD_S):
                await treasury.peers.spread()


async def _flush(treasury: Treasury) -> None:
    """Store what only the disk has; where this takes too long, whoever sums it up refuses."""
    if treasury.recorder.has_rows_on_disk_alone:
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await treasury.recorder.flush()


def _budgets(standings: list[Standing]) -> list[Budget]:
    return [standing.budget for standing in standings]


def _parts(amount_pusd: int) -> list[int]:
    """Divide an amount into those that an entry can have: a sum of many may be more than the database's integers."""
    whole, rest = divmod(abs(amount_pusd), MAX_PUSD)
    sign = -1 if amount_pusd < 0 else 1
    return [sign * MAX_PUSD] * whole + ([sign * rest] if rest or not whole else [])


def _entry(  # noqa: PLR0913, PLR0917 - the words of an entry
    account_id: str, kind: str, span: Span | None, amount_pusd: int, actor: Actor, now_ns: int
) -> Entry:
    return Entry(
        entry_id=f"ent_{new_id(now_ns)}",
        account_id=account_id,
        kind=kind,
        span=span,
        amount_pusd=amount_pusd,
        made_by=actor.actor_id,
        created_ns=now_ns,
    )


async def _note_booked(connection: AsyncConnection, actor: Actor, entry: Entry) -> None:
    """Note what was booked, once, whatever number of entries it took."""
    amount = f"{'-' if entry.amount_pusd < 0 else ''}{format_usd(abs(entry.amount_pusd))} USD"
    deed = Deed(
        account_id=entry.account_id,
        action="spending.record" if entry.span is None else "spending.reset",
        object_id=entry.entry_id,
        detail=amount if entry.span is None else f"{entry.span}: {amount}",
    )
    await append_entry(connection, actor, deed, entry.created_ns)


async def _note_budget(connection: AsyncConnection, actor: Actor, action: str, budget: Budget, now_ns: int) -> None:
    told = f"{budget.scope} {budget.tag or budget.scope_id}, {budget.span}, {format_usd(budget.limit_pusd)} USD"
    deed = Deed(
        account_id=budget.account_id, action=action, object_id=budget.budget_id, detail=f"{told}, {budget.action}"
    )
    await append_entry(connection, actor, deed, now_ns)


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


def _sum_held(treasury: Treasury, running: list[tuple[UsageRow, int]], budget: Budget, window: Window) -> int:
    """What is held that the counter of a window will begin with: by calls that came before the budget did."""
    others = 0 if treasury.peers is None else treasury.peers.held_pusd(budget.line_key, window.key)
    return others + sum(pusd for row, pusd in running if treasury.spending.counts(row, budget, window))


def _list_held(books: Books) -> list[tuple[UsageRow, int]]:
    """What the calls of this process hold, with the rows that they may become."""
    if books.local is None:
        return [(held.doubt, held.amount_pusd) for held in books.running().values()]
    return [(funds.doubt.row(), funds.doubt.cost_pusd) for _, funds in list_funds(books.local)]


def _look_locally(books: Books, names: list[LineName]) -> tuple[LineCount | None, ...]:
    assert books.local is not None, "asked in one process only"  # noqa: S101 - for the type checkers
    return books.local.look(names)
