"""The month's forecast and the budgets', from what is stored."""

import pytest

from gateway.analytics.moments import NS_PER_DAY, day_start_ns, moment_text
from gateway.analytics.overview.outlook import cut_days, read_budget_outlooks, read_month_outlook, weekday_of
from gateway.budgets.administration import BudgetState
from gateway.budgets.budget import Budget
from gateway.budgets.spending import Spending
from gateway.budgets.windows import window_of
from gateway.db import Database
from gateway.ledger import store
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

TODAY = day_start_ns(NOW_NS)
USD = 10**12


async def fill(database: Database) -> None:
    """Two months of a dollar a day."""
    rows = [make_row(TODAY - day * NS_PER_DAY, cost_pusd=USD) for day in range(60)]
    async with database.write() as connection:
        await Spending(database).take_stored(connection, await store.insert_rows(connection, rows))


def make_state(limit_usd: int, span: str = "month", spent_usd: int = 21) -> BudgetState:
    """A budget on the project."""
    budget = Budget(
        budget_id=f"b{limit_usd}",
        account_id=None,
        scope="project",
        scope_id=PROJECT_ID,
        span=span,  # type: ignore[arg-type]
        limit_pusd=limit_usd * USD,
        created_ns=0,
    )
    window = window_of(budget.span, "UTC", NOW_NS)
    return BudgetState(budget=budget, window=window, spent_pusd=spent_usd * USD, held_pusd=0)


async def test_the_month_is_foreseen(database: Database) -> None:
    """What is spent, each day of it, and the way to its end, with what is left of today."""
    await fill(database)
    month = await read_month_outlook(database, (PROJECT_ID,), NOW_NS)
    assert (moment_text(month.from_ns), moment_text(month.to_ns)) == ("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z")
    assert (len(month.days), sum(cost for _, cost in month.days)) == (21, 21 * USD)
    assert [moment_text(step.day_ns)[8:10] for step in month.path] == [str(day) for day in range(21, 31)]
    assert month.path[-1].outlook.expected == pytest.approx((21 + 9.407) * USD, rel=0.001)
    assert month.total.requests == 21


async def test_budgets_are_foreseen(database: Database) -> None:
    """Those nearest to their limit first; one without an end, and credits, are none."""
    await fill(database)
    states = [make_state(1_000), make_state(25), make_state(5, "total"), make_state(1, "day", 1)]
    tight_day, tight, wide = await read_budget_outlooks(database, states, NOW_NS)
    assert [each.state.budget.budget_id for each in (tight_day, tight, wide)] == ["b1", "b25", "b1000"]
    assert (moment_text(tight.reaches_ns or 0)[:10], wide.reaches_ns) == ("2026-09-25", None)
    assert tight_day.reaches_ns == TODAY
    assert (tight.outlook.chance_above(25 * USD), wide.outlook.chance_above(1_000 * USD)) == (1.0, 0.0)


def test_days_ahead_are_cut_at_midnight() -> None:
    """With the share of each that is left; 21 September 2026 is a Monday."""
    parts = cut_days(TODAY + NS_PER_DAY // 4, TODAY + 2 * NS_PER_DAY + NS_PER_DAY // 2)
    assert parts == [(TODAY, 0.75), (TODAY + NS_PER_DAY, 1.0), (TODAY + 2 * NS_PER_DAY, 0.5)]
    assert weekday_of(TODAY) == 0
    assert cut_days(TODAY, TODAY) == []
