"""Holds the money of calls: every budget of a call in one atomic step, before anything is sent.

A line without a counter is seeded from the ledger (see seeder). A change of the account's zone ends the lines: a call
that asked meanwhile asks again on those that follow.

Failure behavior: where the counters or what was spent cannot be asked, a call that a budget governs is refused with
503 at once; where a budget has no room, with 402. Nothing is ever let pass because it could not be asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gateway.budgets import refusal
from gateway.budgets.bound import LEAST_OUTPUT_TOKENS, Bound
from gateway.budgets.directory import Standing
from gateway.budgets.keeping.books import OpenHold, Unsettled
from gateway.budgets.keeping.funds import Funds
from gateway.budgets.keeping.memo import write_memo
from gateway.budgets.keeping.seeder import Seeder
from gateway.budgets.keeping.terms import Remembered, Terms
from gateway.budgets.keeping.treasury import Treasury
from gateway.counters.interface import (
    MAX_PUSD,
    BudgetLine,
    CountersSpared,
    CountersUnavailable,
    Held,
    LineState,
    NewHold,
    Refused,
    Reservation,
    Unseeded,
)
from gateway.db import DatabaseUnavailable
from gateway.errors import Fault
from gateway.ledger.recording.doubt import Doubt

# How long a call waits for the ledger to tell what was spent, once a window or after Redis lost its data.
SEED_TIMEOUT_S = 8.0
# A call of which a budget's limit has room for so many is small beside it.
SMALL_CALLS = 20
_RETRY_MS = 1_000
_MAX_ROUNDS = 5

Tighten = Callable[[], Awaitable[Bound]]


class Wish(msgspec.Struct, frozen=True):
    """What is to be held for a call."""

    standings: tuple[Standing, ...]
    bound: Bound
    # What the call itself says that it may cost, None where it says nothing.
    cap_pusd: int | None
    # What it becomes if nothing more is heard of it, at the bound's cost.
    doubt: Doubt


class Keeper:
    """Reserves; one a process."""

    def __init__(self, treasury: Treasury) -> None:
        self.treasury = treasury
        self.books = treasury.books
        self._recorder = treasury.recorder
        self._lease_ns = treasury.lease_ns
        self._seeder = Seeder(treasury)
        self.remembered = Remembered(treasury.books)

    def hold_at_once(self, terms: Terms, bound: Bound, cap_pusd: int | None, doubt: Doubt) -> Funds | None:
        """As ``reserve_at_once``, on terms that are known."""
        most_pusd, hold_id = doubt.cost_pusd, doubt.request_id
        if most_pusd > (MAX_PUSD if cap_pusd is None else cap_pusd):
            return None
        funds = Funds(self.books, terms.standings, bound, doubt, cap_pusd, None, (hold_id,))
        expires_ns = doubt.created_ns + self._lease_ns
        return funds if terms.holds.hold(hold_id, terms.places, most_pusd, expires_ns, funds) else None

    def reserve_at_once(
        self, standings: tuple[Standing, ...], bound: Bound, cap_pusd: int | None, doubt: Doubt
    ) -> Funds | None:
        """Hold what a call may cost at most, where that fits and nobody has to be asked; None: ask ``reserve``.

        What is held for is as in a Wish, which most calls need not make.
        """
        books, most_pusd, hold_id = self.books, doubt.cost_pusd, doubt.request_id
        local = books.local
        if local is None or most_pusd > (MAX_PUSD if cap_pusd is None else cap_pusd):
            return None
        max_tokens = bound.output_tokens if bound.needs_limit else None
        if not standings:
            return Funds(books, standings, bound, doubt, cap_pusd, max_tokens)
        places = local.find([standing.line_at(doubt.created_ns) for standing in standings])
        if places is None:
            return None
        funds = Funds(books, standings, bound, doubt, cap_pusd, max_tokens, (hold_id,))
        expires_ns = doubt.created_ns + self._lease_ns
        return funds if local.hold(hold_id, places, most_pusd, expires_ns, funds) else None

    async def reserve(self, wish: Wish, tighten: Tighten) -> Funds:
        """Hold what a call may cost, or what there is room for; raises Fault where a budget has none.

        What the call's own cap has no room for is the ``refusal`` of what is returned.

        Where the bound by bytes does not fit, ``tighten`` bounds the input by counting; where the longest reply does
        not fit, ``max_tokens`` of what is returned says how long the reply may be.
        """
        bound, most_pusd = wish.bound, wish.bound.pusd
        amount = self._allowed(wish, most_pusd)
        held, wish = (None, wish) if amount < most_pusd else await self._reserve(wish, most_pusd, None)
        if not isinstance(held, Held):
            bound = await tighten()
            most_pusd = bound.pusd
            amount = self._allowed(wish, most_pusd)
            if amount < bound.least_pusd:
                return await self._reserve_least(wish, bound, amount)
            held, wish = await self._reserve(wish, min(amount, most_pusd), bound.least_pusd)
        if not isinstance(held, Held):
            raise self._refuse(wish, held, bound.least_pusd)
        if held.amount_pusd < most_pusd:
            bound = msgspec.structs.replace(bound, output_tokens=bound.affords(held.amount_pusd))
            most_pusd = bound.pusd
        return self._fund(wish, bound, _with_cost(wish.doubt, most_pusd))

    async def _reserve_least(self, wish: Wish, bound: Bound, allowed_pusd: int) -> Funds:
        """For a call that its own cap refuses: where its budgets have room for a call, it may have a free answer."""
        least = msgspec.structs.replace(bound, output_tokens=min(bound.output_tokens, LEAST_OUTPUT_TOKENS))
        held, wish = await self._reserve(wish, least.pusd, None)
        if not isinstance(held, Held):
            raise self._refuse(wish, held, least.pusd)
        funds = self._fund(wish, least, _with_cost(wish.doubt, least.pusd))
        funds.refusal, funds.max_tokens = refusal.refuse_for_cap(allowed_pusd, least.pusd), None
        return funds

    def _fund(self, wish: Wish, bound: Bound, doubt: Doubt) -> Funds:
        is_limited = bound.output_tokens < wish.bound.output_tokens or bound.needs_limit
        max_tokens = bound.output_tokens if is_limited else None
        hold_ids = (doubt.request_id,) if wish.standings else ()
        funds = Funds(self.books, wish.standings, bound, doubt, wish.cap_pusd, max_tokens, hold_ids)
        if funds.is_open and self.books.local is not None:
            self.books.local.entrust(doubt.request_id, funds)
        return funds

    async def reserve_more(self, funds: Funds, attempt: int) -> bool:
        """Hold the same once more, for a further try after one that may be billed; tells whether there is room."""
        funds.lost_pusd += funds.bound.pusd
        if funds.cap_pusd is not None and funds.lost_pusd + funds.bound.pusd > funds.cap_pusd:
            return False
        if not funds.standings:
            return True
        doubt = msgspec.structs.replace(funds.doubt, request_id=f"{funds.doubt.request_id}.{attempt}")
        wish = Wish(funds.standings, funds.bound, None, doubt)
        try:
            held, _ = await self._reserve(wish, funds.bound.pusd, None)
        except Fault:
            return False
        if not isinstance(held, Held):
            return False
        funds.opened(held.hold_id)
        if self.books.local is not None:
            self.books.local.entrust(held.hold_id, funds)
        return True

    @staticmethod
    def _allowed(wish: Wish, most_pusd: int) -> int:
        return min(most_pusd, MAX_PUSD if wish.cap_pusd is None else wish.cap_pusd)

    def _renew(self, wish: Wish) -> Wish:
        return msgspec.structs.replace(wish, standings=self.books.directory.renew(wish.standings))

    async def _reserve(self, wish: Wish, amount_pusd: int, least_pusd: int | None) -> tuple[Held | Refused, Wish]:
        """Hold an amount; the wish comes back with the budgets as they stand now."""
        doubt, directory = wish.doubt, self.books.directory
        if not wish.standings:
            return Held(hold_id=doubt.request_id, amount_pusd=amount_pusd, room_pusd=0), wish
        for _ in range(_MAX_ROUNDS):
            # In the turn in which it is asked: lines that end while something else is awaited must not be asked for.
            wish = self._renew(wish)
            hold = self._new_hold(doubt, wish.standings, min(amount_pusd, MAX_PUSD), least_pusd)
            reservation = await self._ask(hold, wish)
            if directory.counts_on(wish.standings) and not isinstance(reservation, Unseeded):
                return reservation, self._renew(wish)
            # The lines were those of another zone, and whoever begins the new ones may not have been told of the hold.
            if isinstance(reservation, Held):
                await self._withdraw(hold)
        raise _unavailable()

    async def _withdraw(self, hold: NewHold) -> None:
        self.books.open.pop(hold.hold_id, None)
        try:
            await self.books.counters.withdraw(hold.hold_id, self.books.now_ns())
        except asyncio.CancelledError:
            self._forget(hold)
            raise
        except CountersUnavailable as error:
            self._forget(hold)
            raise _unavailable() from error

    async def _ask(self, hold: NewHold, wish: Wish) -> Reservation:
        books, doubt, standings = self.books, wish.doubt, wish.standings
        now_ns = books.now_ns()
        try:
            reservation: Reservation = (
                await books.counters.reserve(hold, now_ns) if books.local is None else books.local.reserve(hold, now_ns)
            )
            if isinstance(reservation, Unseeded):
                async with asyncio.timeout(SEED_TIMEOUT_S):
                    reservation = await self._seeder.begin(hold, standings, doubt.created_ns)
        except asyncio.CancelledError:
            self._forget(hold)
            raise
        except (CountersUnavailable, DatabaseUnavailable, TimeoutError) as error:
            if not isinstance(error, CountersSpared):
                self._forget(hold)
            raise _unavailable() from error
        if isinstance(reservation, Held) and books.local is None:
            books.open[hold.hold_id] = OpenHold(hold.lines, reservation.amount_pusd, now_ns, doubt.row(), standings)
        return reservation

    def _new_hold(
        self, doubt: Doubt, standings: Sequence[Standing], amount_pusd: int, least_pusd: int | None
    ) -> NewHold:
        memo, created_ns = b"", doubt.created_ns
        if self.books.local is None:
            memo = write_memo(self._recorder.journal.owner, _with_cost(doubt, amount_pusd).row())
        lines: list[BudgetLine] = []
        for standing in standings:
            lines.append(standing.line_at(created_ns))
        return NewHold(
            hold_id=doubt.request_id,
            lines=tuple(lines),
            amount_pusd=amount_pusd,
            least_pusd=None if least_pusd is None else min(least_pusd, amount_pusd),
            lease_ns=self._lease_ns,
            memo=memo,
        )

    def _forget(self, hold: NewHold) -> None:
        """Release what Redis may have held, or hold yet, for a call that will not go out."""
        if self.books.local is None:
            self.books.waiting.append(Unsettled(hold.hold_id, 0))
            self.books.forgotten.append((self.books.now_ns(), hold.hold_id))
            self.books.wake.set()

    def _refuse(self, wish: Wish, refused: Refused | None, least_pusd: int) -> Fault:
        states: tuple[LineState, ...] = () if refused is None else refused.lines
        for standing in wish.standings:
            for state in states:
                if state.budget_key == standing.budget.line_key:
                    if _is_full(state, least_pusd):
                        self.books.note_spent(standing, wish.doubt.created_ns, state.spent_pusd, is_full=True)
                    return refusal.refuse_for_budget(standing.budget, state, least_pusd)
        return refusal.refuse_for_cap(wish.cap_pusd or 0, least_pusd)


def _is_full(state: LineState, least_pusd: int) -> bool:
    """Whether a budget that refuses a call is as good as spent, by the shortest reply to one that is small beside it.

    What is only held may come back, so it does not count; a call that is large for its budget tells nothing of others.
    """
    return least_pusd * SMALL_CALLS <= state.limit_pusd < state.spent_pusd + least_pusd


def _unavailable() -> Fault:
    return Fault(
        "service_unavailable",
        "A budget governs this call, and what was spent cannot be asked right now; ask again.",
        retry_after_ms=_RETRY_MS,
    )


def _with_cost(doubt: Doubt, amount_pusd: int) -> Doubt:
    return msgspec.structs.replace(doubt, cost_pusd=amount_pusd)
