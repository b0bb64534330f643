"""What a budget would have seen: what its scope spent in each window before this one, and where this one is going.

What is spent is kept by scope and quarter of an hour, and every window is whole quarters: sums are the ledger's, to the
picodollar. Windows before the first that cost anything are no history.

Failure behavior: raises DatabaseUnavailable as gateway.db does, and CountersUnavailable where Redis cannot be asked.
"""

import functools
import statistics
from collections.abc import Sequence

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.analytics.overview.outlook import read_budget_outlooks
from gateway.budgets import administration
from gateway.budgets.administration import BudgetState
from gateway.budgets.budget import Budget, Span
from gateway.budgets.keeping.treasury import Treasury
from gateway.budgets.windows import SLOT_NS, Window, window_of
from gateway.db import Database
from gateway.ledger.rollups import PART

# How many windows one looks back: a week of hours, two months of days, half a year of weeks, a year of months.
LOOKS_BACK: dict[Span, int] = {"hour": 168, "day": 60, "week": 26, "month": 12, "total": 0}
# Windows so short are foretold by their own pace, longer ones by what the days of the last weeks cost.
_BY_OWN_PACE: frozenset[Span] = frozenset({"hour", "day"})


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A budget that is only thought of, or one that is there, against what was spent."""

    state: BudgetState
    # Windows that are over, the oldest first, with what was spent in each.
    windows: list[tuple[Window, int]]
    # When the limit is reached in this window at the pace of now; None: it is not, or it is reached already.
    reaches_ns: int | None

    @property
    def reached(self) -> int:
        """In how many of the windows as much as the limit was spent."""
        return sum(spent >= self.state.budget.limit_pusd for _, spent in self.windows)

    @property
    def is_reached(self) -> bool:
        """Whether as much as the limit is spent in this window."""
        return self.state.spent_pusd >= self.state.budget.limit_pusd

    @property
    def highest(self) -> tuple[Window, int] | None:
        """The window that cost most, the latest of such."""
        return max(self.windows, key=lambda each: (each[1], each[0].start_ns), default=None)

    @property
    def typical_pusd(self) -> int | None:
        """What half of the windows stayed below."""
        return int(statistics.median_low([spent for _, spent in self.windows])) if self.windows else None


def list_windows(span: Span, zone: str, now_ns: int) -> list[Window]:
    """The windows before the one of now, the oldest first."""
    windows: list[Window] = []
    start_ns = window_of(span, zone, now_ns).start_ns
    for _ in range(LOOKS_BACK[span]):
        if start_ns <= 0:
            break
        windows.append(window_of(span, zone, start_ns - 1))
        start_ns = windows[-1].start_ns
    return windows[::-1]


async def read_past(database: Database, treasury: Treasury, budget: Budget, now_ns: int) -> Past:
    """Read how a budget would have done; rows that wait to be stored count in this window alone."""
    windows = list_windows(budget.span, budget.zone, now_ns)
    async with database.read() as connection:
        sums = await sum_windows(connection, budget, windows)
    first = next((number for number, spent in enumerate(sums) if spent), len(sums))
    (state,) = await administration.look(treasury, [budget])
    reaches_ns = None
    if state.spent_pusd < budget.limit_pusd:
        reaches_ns = await _foretell(database, state, now_ns)
    return Past(state=state, windows=list(zip(windows, sums, strict=True))[first:], reaches_ns=reaches_ns)


async def _foretell(database: Database, state: BudgetState, now_ns: int) -> int | None:
    window, budget = state.window, state.budget
    if budget.span in _BY_OWN_PACE:
        if not state.spent_pusd:
            return None
        reaches_ns = window.start_ns + (now_ns - window.start_ns) * budget.limit_pusd // state.spent_pusd
        return reaches_ns if reaches_ns < window.end_ns else None
    found = await read_budget_outlooks(database, [state], now_ns)
    day_ns = found[0].reaches_ns if found else None
    # The day is known, not the moment: today is now.
    return None if day_ns is None else max(day_ns, now_ns)


async def sum_windows(connection: AsyncConnection, budget: Budget, windows: Sequence[Window]) -> list[int]:
    """Sum up what the database has of each window: stored rows with their corrections, and entries."""
    if not windows:
        return []
    bounds = {
        name: value
        for number, window in enumerate(windows)
        for name, value in ((f"from{number}", window.start_ns), (f"to{number}", window.end_ns))
    }
    wanted = {**bounds, "scope": budget.scope, "scope_id": budget.counted_id}
    sums = [0] * len(windows)
    for number, high, low in await connection.execute(_spend(len(windows)), wanted):
        sums[number] += int(high) * PART + int(low)
    if budget.scope == "account":
        wanted = {**bounds, "account_id": budget.scope_id, "span": budget.span}
        for number, high, low in await connection.execute(_entries(len(windows)), wanted):
            sums[number] += int(high) * PART + int(low)
    return sums


def _table(count: int) -> str:
    rows = ", ".join(f"({n}, CAST(:from{n} AS BIGINT), CAST(:to{n} AS BIGINT))" for n in range(count))
    return f"WITH stretch (number, since, until) AS (VALUES {rows}) "


@functools.cache
def _spend(count: int) -> TextClause:
    return text(
        f"{_table(count)}SELECT number, SUM(pusd / {PART}), SUM(pusd % {PART}) FROM stretch CROSS JOIN spend "  # noqa: S608 - made of constants
        f"WHERE scope = :scope AND scope_id = :scope_id AND slot >= since / {SLOT_NS} AND slot < until / {SLOT_NS} "
        "GROUP BY number"
    )


@functools.cache
def _entries(count: int) -> TextClause:
    return text(
        f"{_table(count)}SELECT number, SUM(amount_pusd / {PART}), SUM(amount_pusd % {PART}) "  # noqa: S608 - made of constants
        "FROM stretch CROSS JOIN entries WHERE account_id = :account_id AND kind IN ('spending', 'reset') "
        "AND created_ns >= since AND created_ns < until AND (entries.span IS NULL OR entries.span = :span) "
        "GROUP BY number"
    )
