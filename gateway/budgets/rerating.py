"""Re-rating: what calls cost by the prices in force now, and corrections for those that were charged otherwise.

Each page of rows is read without a lock. Where rows lack a correction a short transaction books it: the correction, the
sums of usage, what the call's budgets have spent and an entry in the audit log, all or nothing. So it may be stopped at
any moment and run again, twice at once too: what is booked is counted, and nothing is booked twice.

Failure behavior: raises DatabaseUnavailable as gateway.db does; what was booked before stays.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.audit import COMMAND_LINE, Deed, append_entry
from gateway.budgets.spending import Amount, Spending
from gateway.db import Database
from gateway.ledger.correcting import store
from gateway.ledger.correcting.rating import RatedRow, rate
from gateway.ledger.correcting.store import Booked, Correction, Place, compare
from gateway.ledger.rollups import fold_history
from gateway.ledger.settle import Cost
from providers.pricing.prices import PriceTable, format_usd

# Rows that are in memory at once, and the most that one transaction corrects.
PAGE_ROWS = 1_000
# After a booking, so that the calls' own rows are stored meanwhile.
PAUSE_S = 0.02
_FIND_PROJECT = text("SELECT account_id, name FROM projects WHERE project_id = :project_id")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are looked at: from a moment on and before another, and whether what they lack is booked."""

    from_ns: int
    to_ns: int
    books: bool


class Owed(msgspec.Struct, kw_only=True):
    """What a project was charged and owes by the prices in force now; summed up while it is made."""

    # None: the operator's own project.
    account_id: str | None
    project_id: str
    project: str
    # Rows that were looked at; those whose cost no price changes; those without a price; those that are corrected.
    rows: int = 0
    final_rows: int = 0
    unpriced_rows: int = 0
    calls: int = 0
    # Of the calls that are corrected, all that they cost, earlier corrections included.
    old_pusd: int = 0
    new_pusd: int = 0

    @property
    def delta_pusd(self) -> int:
        """What is owed beyond what was charged; negative where it was too much."""
        return self.new_pusd - self.old_pusd


async def rerate(database: Database, prices: PriceTable, wanted: Wanted, now_ns: int) -> AsyncGenerator[Owed, None]:
    """Re-rate project after project; each is told when all its rows were looked at."""
    while await fold_history(database):
        pass
    spending = Spending(database)
    async with database.read() as connection:
        project_ids = await store.list_projects(connection)
    for project_id in project_ids:
        owed = await _open(database, project_id)
        place = Place(wanted.from_ns, "")
        while True:
            async with database.read() as connection:
                rows = await store.read_rows(connection, project_id, place, wanted.to_ns, PAGE_ROWS)
                booked = await store.read_booked(connection, [row.request_id for row in rows])
            lacking = _find_lacking(rows, booked, prices, owed)
            if lacking and wanted.books:
                lacking = await _book(database, spending, lacking, owed, now_ns)
                await asyncio.sleep(PAUSE_S)
            _add(owed, lacking)
            if len(rows) < PAGE_ROWS:
                break
            place = Place(rows[-1].created_ns, rows[-1].request_id)
        yield owed


async def book(
    connection: AsyncConnection, spending: Spending, rated: Sequence[tuple[RatedRow, Cost]], now_ns: int
) -> list[Correction]:
    """Correct rows to what they cost, inside the caller's transaction; gives the corrections that they lacked."""
    await store.lock(connection)
    booked = await store.read_booked(connection, [row.request_id for row, _ in rated])
    lacking = [
        found for row, cost in rated if (found := compare(row, cost, booked.get(row.request_id, Booked()))) is not None
    ]
    if lacking:
        await store.insert(connection, lacking, now_ns)
        await spending.add(connection, map(_amount_of, lacking))
    return lacking


async def _book(
    database: Database, spending: Spending, lacking: Sequence[Correction], owed: Owed, now_ns: int
) -> list[Correction]:
    async with database.write() as connection:
        booked = await book(connection, spending, [(each.row, each.cost) for each in lacking], now_ns)
        if booked:
            amount = format_usd(abs(delta_pusd := sum(each.delta_pusd for each in booked)))
            told = f"{'-' if delta_pusd < 0 else ''}{amount} USD for {len(booked)} calls"
            deed = Deed(account_id=owed.account_id, action="ledger.rerate", object_id=owed.project_id, detail=told)
            await append_entry(connection, COMMAND_LINE, deed, now_ns)
        return booked


async def _open(database: Database, project_id: str) -> Owed:
    async with database.read() as connection:
        found = (await connection.execute(_FIND_PROJECT, {"project_id": project_id})).one_or_none()
    account_id, name = (None, "") if found is None else (found[0], found[1])
    return Owed(account_id=account_id, project_id=project_id, project=name)


def _find_lacking(
    rows: Sequence[RatedRow], booked: dict[str, Booked], prices: PriceTable, owed: Owed
) -> list[Correction]:
    lacking: list[Correction] = []
    owed.rows += len(rows)
    for row in rows:
        if row.is_final:
            owed.final_rows += 1
            continue
        cost = rate(row, prices)
        if cost.basis == "unpriced":
            owed.unpriced_rows += 1
        elif (correction := compare(row, cost, booked.get(row.request_id, Booked()))) is not None:
            lacking.append(correction)
    return lacking


def _add(owed: Owed, corrections: Sequence[Correction]) -> None:
    owed.calls += len(corrections)
    for each in corrections:
        old_pusd = each.row.cost_pusd + each.booked.pusd
        owed.old_pusd += old_pusd
        owed.new_pusd += old_pusd + each.delta_pusd


def _amount_of(correction: Correction) -> Amount:
    row = correction.row
    return Amount(row.project_id, row.key_id, row.tags, row.created_ns, correction.delta_pusd)
