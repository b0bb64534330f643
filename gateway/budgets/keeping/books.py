"""What the calls of one process share about money: the counters, and what is still to be told to Redis or the outbox.

Everything in here happens without waiting; gateway.budgets.keeping.watch works off what is left.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from gateway.budgets.budget import Budget
from gateway.budgets.directory import BudgetDirectory, Standing
from gateway.budgets.windows import Window
from gateway.counters.interface import BudgetLine, Counters, LineName, Settled
from gateway.counters.local_holds import LocalHolds
from gateway.counters.memory import MemoryCounters
from gateway.ledger.row import UsageRow

# More than ever wait: beyond it the oldest is given up, and the sweep or the next window's seed sets it right.
MAX_WAITING = 100_000
# Thresholds are written with six decimals at most.
_SHARES = 1_000_000
# More than any sum: no threshold is left in this window.
_NEVER_PUSD = 1 << 127


class Unsettled(NamedTuple):
    """A hold whose end Redis has not confirmed."""

    hold_id: str
    amount_pusd: int


class Unadjusted(NamedTuple):
    """Money that a line has to count though nothing was held for it there."""

    line: LineName
    delta_pusd: int


class Crossing(NamedTuple):
    """A budget whose spending has reached a threshold in a window."""

    budget: Budget
    window: Window
    threshold: float
    spent_pusd: int


class OpenHold(msgspec.Struct):
    """A hold of this process in Redis, so that it can be renewed, and found missing."""

    lines: tuple[BudgetLine, ...]
    amount_pusd: int
    renewed_ns: int
    # The row that its call becomes if nothing more is heard of it.
    doubt: UsageRow
    # The budgets of its lines, as they stood.
    standings: tuple[Standing, ...] = ()
    # Its call's row is recorded, or it needs none: only Redis is still to be told.
    has_ended: bool = False
    # The other processes know of it, and count it where they begin a line anew.
    is_told: bool = False
    # Lines that this process began meanwhile, without the hold: whether what it holds was counted there as spent.
    counted: dict[LineName, bool] = {}

    def has_moved(self, budget: Budget) -> bool:
        """Whether the counter of a budget that it is held on is over, since the account's zone was changed."""
        for standing in self.standings:
            if standing.budget.budget_id == budget.budget_id:
                return standing.budget.line_key != budget.line_key
        return False

    def note_begun(self, name: LineName, *, is_counted: bool) -> None:
        """A line was begun in Redis that does not know the hold."""
        if is_counted or any(name_of(line) == name for line in self.lines):
            self.counted[name] = is_counted

    def correct(self, amount_pusd: int, settled: Settled) -> list[tuple[LineName, int]]:
        """What lines have to be corrected by that count the hold as spent and not its cost, or besides it."""
        corrections: list[tuple[LineName, int]] = []
        counted = dict(self.counted)
        for at, line in enumerate(self.lines):
            name = name_of(line)
            is_lost = settled.outcome == "unknown" or settled.spent_pusd[at : at + 1] == (None,)
            # Begun by another process it counts what the others were told of.
            if counted.pop(name, is_lost and self.is_told):
                corrections.append((name, amount_pusd - self.amount_pusd))
        # What the call cost is told to budgets that came after it by whoever records its row.
        corrections += [(name, -self.amount_pusd) for name, is_counted in counted.items() if is_counted]
        return corrections


class Books:
    """The counters and what waits."""

    def __init__(self, counters: Counters, directory: BudgetDirectory, now_ns: Callable[[], int]) -> None:
        self.counters = counters
        # The same without waiting, where there is one process.
        self.local: LocalHolds | None = counters.holds if isinstance(counters, MemoryCounters) else None
        # Grows when counters that ``local`` has found are dropped, and when the budgets change.
        self.epoch = directory.epoch
        if isinstance(counters, MemoryCounters):
            self.epoch = directory.epoch = counters.epoch
        self.directory = directory
        self.now_ns = now_ns
        # Through Redis only.
        self.open: dict[str, OpenHold] = {}
        # While the others are being told: holds that have ended meanwhile, for what their calls cost.
        self._noted: dict[str, OpenHold] | None = None
        # Held while a line is begun in Redis: only then it is known which of the open holds it counts.
        self.beginning = asyncio.Lock()
        self.waiting: deque[Unsettled | Unadjusted] = deque(maxlen=MAX_WAITING)
        # Holds that were given up without an answer, and when: a reservation may reach Redis later than its release.
        self.forgotten: deque[tuple[int, str]] = deque(maxlen=MAX_WAITING)
        self.crossings: deque[Crossing] = deque(maxlen=MAX_WAITING)
        # Budgets of which more was spent than their own holds tell: whether that reached a threshold is looked up.
        self.unsure: dict[str, Standing] = {}
        self.wake = asyncio.Event()

    def adjust(self, standings: Iterable[Standing], created_ns: int, delta_pusd: int) -> None:
        """Let the lines of these budgets count money that nothing was held for."""
        for standing in standings:
            self.look_up(standing)
            name = name_of(standing.line_at(created_ns))
            if self.local is not None:
                self.local.adjust(name, delta_pusd)
            else:
                self.waiting.append(Unadjusted(name, delta_pusd))
                self.wake.set()

    def look_up(self, standing: Standing) -> None:
        """Have it looked up whether what a budget has spent has reached a threshold."""
        if standing.budget.thresholds:
            self.unsure[standing.budget.budget_id] = standing
            self.wake.set()

    async def settle(self, hold_id: str, amount_pusd: int) -> Settled:
        """Tell Redis how a hold ended. Raises CountersUnavailable."""
        settled = await self.counters.settle(hold_id, amount_pusd, self.now_ns())
        async with self.beginning:
            held = self.open.pop(hold_id, None)
        if held is not None:
            if self._noted is not None:
                self._noted[hold_id] = msgspec.structs.replace(held, amount_pusd=amount_pusd)
            # Redis lost it, or some of its lines. One that was begun anew since counts what was held as spent.
            for name, delta_pusd in held.correct(amount_pusd, settled):
                await self.counters.adjust(name, delta_pusd)
        return settled

    def end(self, hold_id: str) -> None:
        """Note that a hold's call is over, in the turn in which its row is recorded."""
        held = self.open.get(hold_id)
        if held is not None:
            held.has_ended = True

    def running(self) -> dict[str, OpenHold]:
        """Name the holds in Redis whose calls are not over."""
        return {hold_id: held for hold_id, held in self.open.items() if not held.has_ended}

    @contextmanager
    def noting_ended(self) -> Generator[dict[str, OpenHold], None, None]:
        """Collect the holds that Redis is told the end of within the block, each for what its call cost."""
        noted: dict[str, OpenHold] = {}
        self._noted = noted
        try:
            yield noted
        finally:
            self._noted = None

    def find_joining(self, ended: Mapping[str, OpenHold]) -> dict[LineName, dict[str, int]]:
        """List by counters what they have to know if they begin now: holds and amounts.

        What is held by counters that are over, and all that has ``ended``, whose rows may not be stored yet.
        """
        joining: dict[LineName, dict[str, int]] = {}
        told = {hold_id: held for hold_id, held in self.open.items() if held.is_told}
        for hold_id, held in {**told, **ended}.items():
            for standing in self.directory.renew(held.standings):
                if hold_id in ended or held.has_moved(standing.budget):
                    name = name_of(standing.line_at(held.doubt.created_ns))
                    joining.setdefault(name, {})[hold_id] = held.amount_pusd
        return joining

    def coming(self) -> list[UsageRow]:
        """Name the rows that those calls become if nothing more is heard of them."""
        return [held.doubt for held in self.running().values()]

    def note_spent(self, standing: Standing, created_ns: int, spent_pusd: int, *, is_full: bool = False) -> None:
        """See whether what a budget has spent has reached a threshold that this process has not told of.

        Counters of this process tell no more of what is spent below the next one. ``is_full``: no ordinary call fits
        into what is left, so that all thresholds up to the limit are reached.
        """
        budget = standing.budget
        window = standing.window_at(created_ns)
        told = standing.notified
        count = told[1] if told[0] == window.key else 0
        next_pusd = _NEVER_PUSD
        for threshold in budget.thresholds[count:]:
            next_pusd = -(-budget.limit_pusd * round(threshold * _SHARES) // _SHARES)
            if spent_pusd < next_pusd and not (is_full and next_pusd <= budget.limit_pusd):
                break
            self.crossings.append(Crossing(budget, window, threshold, spent_pusd))
            count += 1
            next_pusd = _NEVER_PUSD
            self.wake.set()
        standing.notified = (window.key, count)
        # One that has changed since tells nothing of the thresholds of now.
        if self.local is not None and self.directory.get(budget.budget_id) is standing:
            self.local.quieten(name_of(standing.line_at(created_ns)), next_pusd)


def name_of(line: BudgetLine) -> LineName:
    """Name a line."""
    return LineName(budget_key=line.budget_key, window_key=line.window_key)
