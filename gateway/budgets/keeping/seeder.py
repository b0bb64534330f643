"""Begins the lines of budgets at what the ledger says was spent, with what calls hold that run.

In one process while no row is being stored, so that the counter is the ledger's sum to the picodollar. Through Redis
after every process has stored what it had and knows the budgets as they stand (see peers): holds whose own line ended
as the account's zone was changed join the one that begins, each by its name, unless its row is in the sum already.

Failure behavior: raises CountersUnavailable, DatabaseUnavailable and TimeoutError; nothing begins then.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from gateway.budgets.budget import Budget
from gateway.budgets.directory import Standing
from gateway.budgets.keeping.books import name_of
from gateway.budgets.keeping.funds import list_funds
from gateway.budgets.keeping.treasury import Treasury
from gateway.budgets.windows import Window
from gateway.counters.interface import MAX_PUSD, Join, NewHold, Reservation, Unseeded
from gateway.counters.local_holds import LocalHolds
from gateway.db import DatabaseUnavailable
from gateway.ledger import store as ledger

_MAX_ROUNDS = 5

_Lacking = Sequence[tuple[Standing, Window]]


class Seeder:
    """Begins lines; one a process."""

    def __init__(self, treasury: Treasury) -> None:
        self._books = treasury.books
        self._database = treasury.database
        self._spending = treasury.spending
        self._recorder = treasury.recorder
        self._peers = treasury.peers
        # One at a time reads the ledger; who waited finds the counter seeded.
        self._seeding = asyncio.Lock()

    async def begin(self, hold: NewHold, standings: Sequence[Standing], created_ns: int) -> Reservation:
        """Read from the ledger what the lines have spent, and reserve; Unseeded: a change of the zone has ended them.

        What the others hold they tell by the lines of the zone that they know. Lines that are over here and not there
        would begin without it.
        """
        books = self._books
        async with self._seeding:
            for _ in range(_MAX_ROUNDS):
                now_ns = books.now_ns()
                reservation = await books.counters.reserve(hold, now_ns)
                if not isinstance(reservation, Unseeded) or not books.directory.counts_on(standings):
                    return reservation
                missing = {line.budget_key for line in reservation.lines}
                lacking = [
                    (standing, standing.window_at(created_ns))
                    for standing in standings
                    if standing.budget.line_key in missing
                ]
                if self._peers is not None:
                    await self._peers.wait_for_all(is_urgent=True)
                if self._recorder.has_rows_on_disk_alone:
                    await self._recorder.flush()
                async with self._recorder.folding:
                    if not books.directory.counts_on(standings):
                        return reservation
                    if books.local is None:
                        reservation = await self._begin_shared(hold, lacking, now_ns)
                    else:
                        reservation = await self._begin_locally(hold, lacking, now_ns, books.local)
                if not isinstance(reservation, Unseeded):
                    return reservation
        raise DatabaseUnavailable("the counters lose their data again and again")

    async def _begin_locally(self, hold: NewHold, lacking: _Lacking, now_ns: int, local: LocalHolds) -> Reservation:
        """In this process every hold joins a line that begins: its call came before the budget or the zone's change."""
        wanted = [(standing.budget, window) for standing, window in lacking]
        sums = await self._spending.read(
            self._recorder, wanted, lambda: [funds.doubt.row() for _, funds in list_funds(local)]
        )
        # From here to the reservation nothing is awaited.
        joining = {
            standing.budget.line_key: [
                (hold_id, funds, standing)
                for hold_id, funds in list_funds(local)
                if self._spending.counts(funds.doubt.row(), standing.budget, window)
            ]
            for standing, window in lacking
        }
        seeds = {budget.line_key: total for (budget, _), total in zip(wanted, sums, strict=True)}
        joins = {key: {name: funds.doubt.cost_pusd for name, funds, _ in found} for key, found in joining.items()}
        reservation = local.reserve(_give_seeds(hold, seeds, joins), now_ns)
        for line in () if isinstance(reservation, Unseeded) else reservation.begun:
            for _, funds, standing in joining[line.budget_key]:
                funds.join(standing)
        return reservation

    async def _begin_shared(self, hold: NewHold, lacking: _Lacking, now_ns: int) -> Reservation:
        """In Redis: what is held that no line knows counts as spent until its calls settle.

        Redis lost it, or the budget is younger than the calls.
        """
        books = self._books
        wanted = [(standing.budget, window) for standing, window in lacking]
        others = {budget.line_key: self._find_others_moved(budget, window) for budget, window in wanted}
        async with self._database.read() as connection:
            # One state of the data: what has a row is in the sum.
            calls = {name: name.partition(".")[0] for holds in others.values() for name in holds}
            stored = await ledger.read_costs(connection, sorted(set(calls.values())))
            in_database = await self._spending.read_stored(connection, wanted)
        sums = await self._spending.add_waiting(self._recorder, wanted, in_database, books.coming)
        running, seeds, joins, counted = books.running(), dict[str, int](), dict[str, dict[str, int]](), set[str]()
        for (budget, window), total in zip(wanted, sums, strict=True):
            key = budget.line_key
            own = {name: held for name, held in running.items() if self._spending.counts(held.doubt, budget, window)}
            moved = {name for name, held in own.items() if held.has_moved(budget)}
            joins[key] = {name: amount for name, amount in others[key].items() if calls[name] not in stored}
            joins[key] |= {name: own[name].amount_pusd for name in moved}
            seeds[key] = max(total, 0) + (0 if self._peers is None else self._peers.held_pusd(key, window.key))
            seeds[key] += sum(held.amount_pusd for name, held in own.items() if name not in moved)
            counted |= {f"{key} {name}" for name in own.keys() - moved}
        # Free: nobody else has it for longer than a turn of the loop.
        async with books.beginning:
            known = dict(books.open)
            reservation = await books.counters.reserve(_give_seeds(hold, seeds, joins), now_ns)
            for line in () if isinstance(reservation, Unseeded) else reservation.begun:
                for name, held in known.items():
                    held.note_begun(name_of(line), is_counted=f"{line.budget_key} {name}" in counted)
        return reservation

    def _find_others_moved(self, budget: Budget, window: Window) -> Mapping[str, int]:
        return {} if self._peers is None else self._peers.moved(budget.line_key, window.key)


def _give_seeds(hold: NewHold, seeds: Mapping[str, int], joins: Mapping[str, Mapping[str, int]]) -> NewHold:
    """Tell what lines begin with, by their budgets' names."""
    return msgspec.structs.replace(
        hold,
        lines=tuple(
            msgspec.structs.replace(line, seed_pusd=min(max(seeds[line.budget_key], 0), MAX_PUSD))
            if line.budget_key in seeds
            else line
            for line in hold.lines
        ),
        joins=tuple(
            Join(budget_key=key, hold_id=hold_id, amount_pusd=amount_pusd)
            for key, holds in joins.items()
            for hold_id, amount_pusd in holds.items()
        ),
    )
