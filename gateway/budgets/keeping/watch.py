"""What goes on beside the calls: events of thresholds, what Redis missed, holds of the dead, and the comparison of the
counters in Redis with the ledger.

Failure behavior: what the database or Redis did not take is tried again; the log tells when that begins.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from gateway.budgets import store
from gateway.budgets.budget import Budget
from gateway.budgets.directory import Standing
from gateway.budgets.keeping.books import Crossing, Unsettled
from gateway.budgets.keeping.memo import read_memo
from gateway.budgets.keeping.peers import BEAT_S, Peers
from gateway.budgets.keeping.treasury import Treasury
from gateway.budgets.refusal import moment_text
from gateway.budgets.spending import cost_of
from gateway.budgets.windows import Window, name_window
from gateway.counters.interface import CountersUnavailable, ExpiredHold, LineCount, LineName
from gateway.db import DatabaseUnavailable
from gateway.events import USAGE_THRESHOLD, Event, append_event
from gateway.ledger import store as ledger
from gateway.ledger.recording.journal import JournalFull
from providers.pricing.prices import format_usd

SWEEP_S = 2.0
AUDIT_S = 5.0
CORRECTED_S = 1.0
# A sweeper that died leaves what it had claimed to the next one.
CLAIM_NS = 15_000_000_000
# Looked at together, so that neither Redis nor the database is kept from the calls for long.
MAX_AUDITED = 500
_PAUSE_S = 1.0
_TOGETHER = 16
_AUDIT_TIMEOUT_S = 10.0
# By then what a call asked of Redis and did not wait for has arrived there.
LATE_NS = 1_000_000_000
# Of what a dead process held; ending it waits for its turn at Redis among the calls of a busy start.
_RECLAIM_NS = 30_000_000_000
# Less than that claim lasts: what is not ended by then another process charges.
_RECLAIM_TIMEOUT_S = 25.0
_log = logging.getLogger(__name__)


class Watch:
    """The background work; one a process, built and closed by the application."""

    def __init__(self, treasury: Treasury) -> None:
        self._books = treasury.books
        self._spending = treasury.spending
        self._recorder = treasury.recorder
        self._database = treasury.database
        self._lease_ns = treasury.lease_ns
        self._peers = treasury.peers
        self._tasks: list[asyncio.Task[None]] = []
        self._failing: set[str] = set()
        # The revision of the corrections that the counters of this process know.
        self._corrected = -1

    def start(self) -> None:
        """Begin; what a dead process left open is charged."""
        works = [self._work_forever(), self._repeat("sweep", SWEEP_S, self.sweep)]
        if self._peers is not None:
            # A call that was tried again held more than once; its row is the charge of all of them.
            for row in self._recorder.recovered:
                self._books.waiting.append(Unsettled(row.request_id, row.cost_pusd))
                for attempt in range(2, row.attempts + 1):
                    self._books.waiting.append(Unsettled(f"{row.request_id}.{attempt}", 0))
            for standing in self._books.directory.all() if self._recorder.recovered else ():
                self._books.look_up(standing)
            self._books.wake.set()
            works += [
                self._beat_forever(self._peers),
                self._repeat("audit", AUDIT_S, self.audit),
                self._inherit(),
            ]
        else:
            works.append(self._repeat("corrections", CORRECTED_S, self.take_corrections))
        for work in works:
            self._tasks.append(asyncio.create_task(work))  # noqa: TID251 - kept, and awaited on close

    async def close(self) -> None:
        """Work off what waits, once, and stop."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        with suppress(CountersUnavailable, DatabaseUnavailable, TimeoutError):
            async with asyncio.timeout(_AUDIT_TIMEOUT_S):
                await self.work()
                if self._peers is not None:
                    await self._recorder.flush()
                    await self._peers.leave()

    async def work(self) -> None:
        """Tell Redis and the outbox what they have not been told."""
        books = self._books
        while books.waiting:
            waiting = books.waiting[0]
            if isinstance(waiting, Unsettled):
                await books.settle(waiting.hold_id, waiting.amount_pusd)
            else:
                await books.counters.adjust(waiting.line, waiting.delta_pusd)
            if books.waiting and books.waiting[0] is waiting:
                books.waiting.popleft()
        if books.unsure:
            await self._look_up()
        while books.crossings:
            crossing = books.crossings[0]
            async with self._database.write() as connection:
                await append_event(connection, make_event(crossing, books.now_ns()))
            if books.crossings and books.crossings[0] is crossing:
                books.crossings.popleft()

    async def _look_up(self) -> None:
        """Tell of the thresholds that budgets have reached by money that did not settle through holds of their own."""
        books, now_ns = self._books, self._books.now_ns()
        # Of what is spent meanwhile they are unsure again.
        asked, books.unsure = books.unsure, {}
        try:
            for part in _split([known for each in asked if (known := books.directory.get(each)) is not None]):
                counts = await books.counters.look(_names_of(part, now_ns))
                async with asyncio.timeout(_AUDIT_TIMEOUT_S), self._recorder.folding:
                    sums = await self._spending.read(self._recorder, _windows_of(part, now_ns))
                for standing, count, total in zip(part, counts, sums, strict=True):
                    # Through Redis others may have recorded what only their journals have: the counter knows.
                    books.note_spent(standing, now_ns, max(total, 0 if count is None else count.spent_pusd))
        except BaseException:
            books.unsure = {**asked, **books.unsure}
            raise

    async def sweep(self) -> None:
        """Charge what dead processes held, renew what this one holds, and let the counters drop what is old."""
        books = self._books
        now_ns = books.now_ns()
        for hold_id, hold in list(books.open.items()):
            if now_ns - hold.renewed_ns > self._lease_ns // 2:
                await books.counters.renew(hold_id, now_ns, self._lease_ns)
                if hold_id in books.open:
                    hold.renewed_ns = now_ns
        while books.forgotten and books.forgotten[0][0] < now_ns - LATE_NS:
            await books.settle(books.forgotten[0][1], 0)
            books.forgotten.popleft()
        swept = await books.counters.sweep(now_ns, CLAIM_NS)
        if swept:
            costs = await self._find_costs([expired.hold_id for expired in swept])
            for expired in swept:
                await self._charge(expired, costs.get(expired.hold_id))

    async def reclaim(self, owner: str) -> None:
        """End what a dead process held, all of whose records are here: what has no row was never sent, and is free."""
        books = self._books
        async with asyncio.timeout(_RECLAIM_TIMEOUT_S):
            # Its rows, and those of the calls of which nobody knows how they ended.
            await self._recorder.flush()
            held = await books.counters.seize(owner.encode(), books.now_ns(), _RECLAIM_NS)
            costs = await self._find_costs([hold.hold_id for hold in held])
            # Further tries have holds of their own, and no row: the call's row is the charge of all.
            for start in range(0, len(held), _TOGETHER):
                some = held[start : start + _TOGETHER]
                await asyncio.gather(*(books.settle(hold.hold_id, costs.get(hold.hold_id, 0)) for hold in some))
        if held:
            free = len(held) - len(costs)
            _log.info(
                "%d holds of a process that died are ended; %d were of calls that never went out", len(held), free
            )

    async def _find_costs(self, hold_ids: Sequence[str]) -> dict[str, int]:
        """What the calls of these holds cost, where there is a row: one that is being stored is seen here or there."""
        wanted = frozenset(hold_ids)
        own = {row.request_id: cost_of(row) for row in self._recorder.unfolded() if row.request_id in wanted}
        async with self._database.read() as connection:
            return {**own, **await ledger.read_costs(connection, hold_ids)}

    async def _inherit(self) -> None:
        for owner in self._recorder.journal.heirs_of:
            while not await self._attempt("reclaim", partial(self.reclaim, owner)):
                await asyncio.sleep(_PAUSE_S)
            self._recorder.journal.bury(owner)

    async def audit(self) -> None:
        """Set the counters in Redis to what the ledger says: down only where they stood still meanwhile."""
        books, peers = self._books, self._peers
        assert peers is not None, "one process needs no audit"  # noqa: S101 - for the type checkers
        standings, now_ns = books.directory.all(), books.now_ns()
        parts = _split(standings)
        before = [await books.counters.look(_names_of(part, now_ns)) for part in parts]
        if not parts:
            return
        async with asyncio.timeout(_AUDIT_TIMEOUT_S):
            await peers.wait_for_all()
        for part, counts in zip(parts, before, strict=True):
            await self._audit_part(part, counts, now_ns, are_whole=peers.are_whole)

    async def _audit_part(
        self, standings: Sequence[Standing], before: Sequence[LineCount | None], now_ns: int, *, are_whole: bool
    ) -> None:
        books = self._books
        names, wanted = _names_of(standings, now_ns), _windows_of(standings, now_ns)
        async with asyncio.timeout(_AUDIT_TIMEOUT_S), self._recorder.folding:
            sums = await self._spending.read(self._recorder, wanted, books.coming)
            running = [self._sum_running(budget, window) for budget, window in wanted]
        # Again: a call whose row is summed up may not be settled yet, and then its hold is still there.
        after = await books.counters.look(names)
        for name, old, count, total, open_pusd in zip(names, before, after, sums, running, strict=True):
            if old is None or count is None:
                continue
            missing_pusd = total - count.spent_pusd
            if missing_pusd > 0:
                # What is held may be all that is missing, or what the counters have not been told yet. Whether the
                # counter moved is all one: a row is charged before it is stored, so the ledger is never ahead of it.
                missing_pusd = 0 if books.waiting else max(0, missing_pusd - count.held_pusd)
            elif count.spent_pusd != old.spent_pusd or count.held_pusd or not are_whole:
                # A process that died may have rows that only its journal has: until then less is not believed.
                continue
            else:
                # Of what runs the line holds nothing, so it counts it as spent.
                missing_pusd = min(0, missing_pusd + open_pusd)
            if missing_pusd:
                await books.counters.adjust(name, missing_pusd, if_spent_pusd=count.spent_pusd)

    def _sum_running(self, budget: Budget, window: Window) -> int:
        """What the running calls of all processes hold in a budget's window."""
        running = self._books.running().values()
        own = sum(held.amount_pusd for held in running if self._spending.counts(held.doubt, budget, window))
        return own + (0 if self._peers is None else self._peers.held_pusd(budget.line_key, window.key))

    async def take_corrections(self) -> None:
        """In one process: bring the counters to the ledger where calls were re-rated by a command beside it."""
        books, local = self._books, self._books.local
        assert local is not None, "through Redis the audit does this"  # noqa: S101 - for the type checkers
        if books.directory.is_empty:
            return
        async with self._database.read() as connection:
            revision = await store.read_corrected(connection)
        if revision == self._corrected:
            return
        standings, now_ns = books.directory.all(), books.now_ns()
        for part in _split(standings):
            names, wanted = _names_of(part, now_ns), _windows_of(part, now_ns)
            async with asyncio.timeout(_AUDIT_TIMEOUT_S), self._recorder.folding:
                sums = await self._spending.read(self._recorder, wanted)
                # From here on nothing is awaited, so each counter stands where its sum does but for corrections.
                for standing, name, count, total in zip(part, names, local.look(names), sums, strict=True):
                    if count is not None and count.spent_pusd != total:
                        local.adjust(name, total - count.spent_pusd)
                    # Without a counter too: what was booked at the start may be the last that a budget has room for.
                    books.note_spent(standing, now_ns, max(total, 0))
        self._corrected = revision

    async def _charge(self, expired: ExpiredHold, cost_pusd: int | None) -> None:
        """A hold whose process is gone: where the call has no row it may have been billed, and the most is charged."""
        if cost_pusd is not None:
            # It ended, and only Redis was not told: one row, one charge.
            await self._books.settle(expired.hold_id, cost_pusd)
            return
        try:
            row = read_memo(expired.memo)
        except msgspec.MsgspecError:
            _log.error("the hold %s tells nothing of its call and is charged to its budgets only", expired.hold_id)
        else:
            with suppress(JournalFull):
                self._recorder.record(row)
        await self._books.settle(expired.hold_id, expired.amount_pusd)
        concerned = {line.budget_key for line in expired.lines}
        for standing in self._books.directory.all():
            if standing.budget.line_key in concerned:
                self._books.look_up(standing)

    async def _work_forever(self) -> None:
        while True:
            await self._books.wake.wait()
            self._books.wake.clear()
            await self._attempt("budgets", self.work)
            if self._books.waiting or self._books.crossings or self._books.unsure:
                self._books.wake.set()
                await asyncio.sleep(_PAUSE_S)

    async def _beat_forever(self, peers: Peers) -> None:
        await self._attempt("bury", peers.bury)
        while True:
            await self._attempt("beat", peers.beat)
            if not await self._attempt("pause", peers.pause):
                await asyncio.sleep(BEAT_S)

    async def _repeat(self, name: str, interval_s: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._attempt(name, act)
            await asyncio.sleep(interval_s)

    async def _attempt(self, name: str, act: Callable[[], Awaitable[None]]) -> bool:
        """Tell whether it was done."""
        try:
            await act()
        except (CountersUnavailable, DatabaseUnavailable, TimeoutError) as error:
            if name not in self._failing:
                _log.warning("%s of budgets waits: %s", name, str(error) or "timed out")
            self._failing.add(name)
            return False
        if name in self._failing:
            _log.warning("%s of budgets goes on", name)
        self._failing.discard(name)
        return True


def _split(standings: list[Standing]) -> list[list[Standing]]:
    return [standings[start : start + MAX_AUDITED] for start in range(0, len(standings), MAX_AUDITED)]


def _names_of(standings: Sequence[Standing], now_ns: int) -> list[LineName]:
    return [
        LineName(budget_key=standing.budget.line_key, window_key=standing.window_at(now_ns).key)
        for standing in standings
    ]


def _windows_of(standings: Sequence[Standing], now_ns: int) -> list[tuple[Budget, Window]]:
    return [(standing.budget, standing.window_at(now_ns)) for standing in standings]


def make_event(crossing: Crossing, now_ns: int) -> Event:
    """The event of a threshold, one for each of a budget's windows: a day is one, though its zone be changed in it."""
    budget, window = crossing.budget, crossing.window
    name = name_window(budget.span, budget.zone, window)
    percent = crossing.threshold * 100
    return Event(
        name=USAGE_THRESHOLD,
        account_id=budget.account_id,
        payload={
            "budget_id": budget.budget_id,
            "scope": budget.scope,
            "scope_id": budget.tag or budget.scope_id,
            "window": budget.span,
            "threshold": crossing.threshold,
            "percent": percent,
            "limit_usd": format_usd(budget.limit_pusd),
            "spent_usd": format_usd(crossing.spent_pusd),
            "action": budget.action,
            "resets_at": moment_text(window.resets_ns),
        },
        once=f"{USAGE_THRESHOLD} {budget.budget_id} {name} {crossing.threshold:g}",
        created_ns=now_ns,
    )
