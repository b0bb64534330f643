"""The forecast of a calendar month, in UTC, and of the windows of budgets.

Failure behavior: raises DatabaseUnavailable as gateway.db does, while older rows are not summed up yet too.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.analytics.moments import NS_PER_DAY, day_start_ns, month_start_ns, next_month_start_ns
from gateway.analytics.overview.forecast import DAYS_PER_WEEK, HISTORY_DAYS, Outlook, Pace, learn_pace, look_ahead
from gateway.budgets.administration import BudgetState
from gateway.budgets.windows import SLOT_NS
from gateway.db import Database
from gateway.ledger.figures.reading import Figures, add_up, read_series

# The first day of the epoch was a Thursday.
_EPOCH_WEEKDAY = 3
_SLOTS_PER_DAY = NS_PER_DAY // SLOT_NS
# Those that are nearest to their limits are told.
MAX_BUDGETS = 50
_READ_SPEND = text(
    f"SELECT slot / {_SLOTS_PER_DAY} AS day, SUM(pusd) AS pusd FROM spend WHERE scope = :scope "  # noqa: S608 - constants
    f"AND scope_id = :scope_id AND slot >= :from_slot AND slot < :to_slot GROUP BY slot / {_SLOTS_PER_DAY}"
)
NOTHING = Figures()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The month's spending up to the end of a day that is not over."""

    day_ns: int
    outlook: Outlook


class MonthOutlook(msgspec.Struct, frozen=True, kw_only=True):
    """A month that is under way."""

    from_ns: int
    to_ns: int
    total: Figures
    pace: Pace
    # What each day so far cost, today's included, oldest first.
    days: list[tuple[int, int]]
    # From today to the last day.
    path: list[Step]


class BudgetOutlook(msgspec.Struct, frozen=True, kw_only=True):
    """A budget at the end of its window."""

    state: BudgetState
    outlook: Outlook
    # The day on which the limit is expected to be reached; None: not in this window.
    reaches_ns: int | None


def weekday_of(moment_ns: int) -> int:
    """The day of the week, Monday 0."""
    return (moment_ns // NS_PER_DAY + _EPOCH_WEEKDAY) % DAYS_PER_WEEK


def cut_days(now_ns: int, until_ns: int) -> list[tuple[int, float]]:
    """Cut the time ahead into the days that it touches: the first moment of each, and how much of it, 0 to 1."""
    parts: list[tuple[int, float]] = []
    begin_ns = now_ns
    while begin_ns < until_ns:
        day_ns = day_start_ns(begin_ns)
        end_ns = min(day_ns + NS_PER_DAY, until_ns)
        parts.append((day_ns, (end_ns - begin_ns) / NS_PER_DAY))
        begin_ns = end_ns
    return parts


async def read_month_outlook(database: Database, project_ids: Sequence[str], now_ns: int) -> MonthOutlook:
    """Forecast the month of now."""
    from_ns, today_ns = month_start_ns(now_ns), day_start_ns(now_ns)
    to_ns = next_month_start_ns(from_ns)
    history_ns = min(today_ns - HISTORY_DAYS * NS_PER_DAY, from_ns)
    async with database.read() as connection:
        found = await read_series(connection, project_ids, history_ns, today_ns + NS_PER_DAY, NS_PER_DAY)
    costs = {day_ns: figures.cost_pusd for day_ns, figures in found.items()}
    past = range(today_ns - HISTORY_DAYS * NS_PER_DAY, today_ns, NS_PER_DAY)
    pace = learn_pace([costs.get(day_ns, 0) for day_ns in past], weekday_of(today_ns - NS_PER_DAY))
    days = [(day_ns, costs.get(day_ns, 0)) for day_ns in range(from_ns, today_ns + 1, NS_PER_DAY)]
    spent = sum(cost for _, cost in days)
    ahead = [(weekday_of(day_ns), share) for day_ns, share in cut_days(now_ns, to_ns)]
    path = [
        Step(day_ns=today_ns + number * NS_PER_DAY, outlook=look_ahead(pace, spent, ahead[: number + 1]))
        for number in range(len(ahead))
    ]
    total = add_up(figures for day_ns, figures in found.items() if day_ns >= from_ns)
    return MonthOutlook(from_ns=from_ns, to_ns=to_ns, total=total, pace=pace, days=days, path=path)


async def read_budget_outlooks(database: Database, states: Sequence[BudgetState], now_ns: int) -> list[BudgetOutlook]:
    """Forecast the windows of budgets that end, those nearest to their limits first, at most MAX_BUDGETS."""
    ending = [state for state in states if state.window.resets_ns is not None and state.budget.kind == "limit"]
    ending.sort(key=lambda state: (-state.spent_pusd / max(state.budget.limit_pusd, 1), state.budget.budget_id))
    async with database.read() as connection:
        return [await _look(connection, state, now_ns) for state in ending[:MAX_BUDGETS]]


async def _look(connection: AsyncConnection, state: BudgetState, now_ns: int) -> BudgetOutlook:
    budget, today_ns = state.budget, day_start_ns(now_ns)
    today = today_ns // NS_PER_DAY
    values = {
        "scope": budget.scope,
        "scope_id": budget.counted_id,
        "from_slot": (today - HISTORY_DAYS) * _SLOTS_PER_DAY,
        "to_slot": today * _SLOTS_PER_DAY,
    }
    costs = {int(row.day): int(row.pusd) for row in await connection.execute(_READ_SPEND, values)}
    pace = learn_pace(
        [costs.get(day, 0) for day in range(today - HISTORY_DAYS, today)], weekday_of(today_ns - NS_PER_DAY)
    )
    parts = cut_days(now_ns, state.window.end_ns)
    ahead = [(weekday_of(day_ns), share) for day_ns, share in parts]
    reaches_ns = next(
        (
            day_ns
            for number, (day_ns, _) in enumerate(parts)
            if look_ahead(pace, state.spent_pusd, ahead[: number + 1]).expected >= budget.limit_pusd
        ),
        None,
    )
    return BudgetOutlook(state=state, outlook=look_ahead(pace, state.spent_pusd, ahead), reaches_ns=reaches_ns)
