"""What an account's traffic cost, saved and took over time; what costs most; what the month is going to cost.

Failure behavior: while the database is away, and while usage of an older version is being summed up, the answer is 503.
"""

from typing import Any

import msgspec
from litestar import get
from litestar.di import NamedDependency

from gateway.accounts.tenancy.roles import may
from gateway.analytics.moments import day_text, moment_text, month_text
from gateway.analytics.overview.figures import Overview, Series, read_overview
from gateway.analytics.overview.forecast import LEVEL, Outlook
from gateway.analytics.overview.holdout import MIN_CALLS, read_measured
from gateway.analytics.overview.outlook import (
    BudgetOutlook,
    MonthOutlook,
    read_budget_outlooks,
    read_month_outlook,
)
from gateway.analytics.overview.tops import CHOICES, DEFAULT_LIMIT, MAX_LIMIT, By, read_top
from gateway.budgets import administration
from gateway.budgets.budget import Scope, Span
from gateway.db import Database
from gateway.ledger.figures.reading import Figures
from gateway.pipeline.services import Services
from gateway.surfaces.access import Caller, caller_of, may_in_own
from gateway.surfaces.parameters import Parameter, asked, count_of, takes
from gateway.surfaces.views.reach import PROJECT, AnyRequest, find_projects, is_operator, period, period_of
from gateway.surfaces.views.usage import SCOPE, usd_number, wait_for_rows

TAG = "Overview"
BY = Parameter(name="by", meaning="What is added up", choices=CHOICES, default="model")
LIMIT = Parameter(name="limit", meaning="The most that are told", most=MAX_LIMIT, default=DEFAULT_LIMIT)
_NS_PER_S = 1_000_000_000


class FiguresView(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of calls; shares are from 0 to 1, and null where there is nothing to divide or to measure."""

    requests: int
    errors: int
    error_rate: float | None
    tokens: int
    cost_usd: msgspec.Raw
    # With what the gateway's cache saved: what the same calls would have cost without WatchLLM.
    without_usd: msgspec.Raw
    saved_exact_usd: msgspec.Raw
    saved_semantic_usd: msgspec.Raw
    # What the providers' own prompt caches took off; it is in neither of the amounts above.
    saved_prompt_cache_usd: msgspec.Raw
    hits_exact: int
    hits_semantic: int
    hit_rate_exact: float | None
    hit_rate_semantic: float | None
    # Of calls that a provider answered, within 9 %.
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    # The gateway's own time for everything that was answered, within 19 %.
    overhead_p50_ms: float | None
    overhead_p95_ms: float | None


class BucketView(FiguresView, frozen=True, kw_only=True):
    """The figures of a bucket that begins at this moment."""

    at: str


class OverviewView(msgspec.Struct, frozen=True, kw_only=True):
    """A period and the one of the same length before it; every bucket is there, the oldest first."""

    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")
    bucket_s: int
    total: FiguresView
    previous: FiguresView
    series: list[BucketView]
    previous_series: list[BucketView]


class MeasuredView(msgspec.Struct, frozen=True, kw_only=True):
    """What answers to like questions saved: by what was once paid for them, and by the calls that were held back."""

    # The part of the period of which decisions are kept, 30 days, in whole hours.
    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")
    hits: int
    saved_semantic_usd: msgspec.Raw
    # Calls that were held back, and how many it takes; with fewer nothing is measured.
    holdouts: int
    holdouts_needed: int
    # Null without enough of them.
    measured_usd: msgspec.Raw
    low_usd: msgspec.Raw
    high_usd: msgspec.Raw


class TopView(msgspec.Struct, frozen=True, kw_only=True):
    """One of those that cost most."""

    id: str
    name: str
    # Of a key.
    project_id: str | None
    requests: int
    errors: int
    hits: int
    tokens: int
    cost_usd: msgspec.Raw
    saved_usd: msgspec.Raw


class TopsView(msgspec.Struct, frozen=True, kw_only=True):
    """What costs most first."""

    by: By
    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")
    items: list[TopView]


class DayCostView(msgspec.Struct, frozen=True, kw_only=True):
    """What a day in UTC cost."""

    date: str
    cost_usd: msgspec.Raw


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """What the month is going to have cost by the end of a day."""

    date: str
    low_usd: msgspec.Raw
    forecast_usd: msgspec.Raw
    high_usd: msgspec.Raw


class BudgetForecastView(msgspec.Struct, frozen=True, kw_only=True):
    """A budget at the end of its window."""

    id: str
    scope: Scope
    scope_id: str
    window: Span
    limit_usd: msgspec.Raw
    spent_usd: msgspec.Raw
    low_usd: msgspec.Raw
    forecast_usd: msgspec.Raw
    high_usd: msgspec.Raw
    resets_at: str
    # How likely more than the limit is asked for, 0 to 1; and the day on which the limit is expected to be reached.
    chance: float
    reaches_limit_on: str | None


class ForecastView(msgspec.Struct, frozen=True, kw_only=True):
    """The calendar month in UTC. ``level``: the share of months that end between low and high."""

    month: str
    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")
    as_of: str
    spent_usd: msgspec.Raw
    without_usd: msgspec.Raw
    level: float
    # Whether there were two weeks of history to learn from.
    is_sure: bool
    low_usd: msgspec.Raw
    forecast_usd: msgspec.Raw
    high_usd: msgspec.Raw
    days: list[DayCostView]
    path: list[StepView]
    # Null where the caller may not see budgets.
    budgets: list[BudgetForecastView] | None


@get(
    "/api/overview",
    summary="Show what traffic cost, saved and took over time",
    tags=[TAG],
    opt=takes(*period(), PROJECT),
    guards=[may_in_own("usage:read", scope=SCOPE)],
)
async def show_figures(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> OverviewView:
    """In buckets and together, with the time before it; the last bucket is under way."""
    meant = period_of(request, services.now_ns())
    project_ids = await find_projects(request, caller_of(request), database)
    await wait_for_rows(services)
    return _overview(await read_overview(database, project_ids, meant))


@get(
    "/api/overview/holdout",
    summary="Measure what the semantic cache saved",
    tags=[TAG],
    opt=takes(*period(), PROJECT),
    guards=[may_in_own("usage:read", scope=SCOPE)],
)
async def show_measured(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> MeasuredView:
    """By the calls that it held back; of the time the last 30 days count."""
    meant = period_of(request, services.now_ns())
    project_ids = await find_projects(request, caller_of(request), database)
    await wait_for_rows(services)
    found = await read_measured(database, project_ids, meant, services.now_ns())
    measured, low, high = (
        msgspec.Raw(b"null") if pusd is None else usd_number(pusd)
        for pusd in (found.measured_pusd, found.low_pusd, found.high_pusd)
    )
    return MeasuredView(
        since=moment_text(found.period.from_ns),
        until=moment_text(found.period.to_ns),
        hits=found.hits,
        saved_semantic_usd=usd_number(found.modelled_pusd),
        holdouts=found.calls,
        holdouts_needed=MIN_CALLS,
        measured_usd=measured,
        low_usd=low,
        high_usd=high,
    )


@get(
    "/api/overview/top",
    summary="Show what costs most",
    tags=[TAG],
    opt=takes(BY, LIMIT, *period(), PROJECT),
    guards=[may_in_own("usage:read", scope=SCOPE)],
)
async def show_top(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> TopsView:
    """What cost most comes first."""
    meant = period_of(request, services.now_ns())
    by: By = msgspec.convert(asked(request).get("by", "model"), By)
    limit = count_of(request, "limit")
    project_ids = await find_projects(request, caller_of(request), database)
    await wait_for_rows(services)
    items = [
        TopView(
            id=top.id,
            name=top.name,
            project_id=top.project_id,
            requests=top.requests,
            errors=top.errors,
            hits=top.cache_hits,
            tokens=top.tokens,
            cost_usd=usd_number(top.cost_pusd),
            saved_usd=usd_number(top.saved_pusd),
        )
        for top in await read_top(database, project_ids, meant, by, limit)
    ]
    return TopsView(by=by, since=moment_text(meant.from_ns), until=moment_text(meant.to_ns), items=items)


@get(
    "/api/overview/forecast",
    summary="Forecast the month against budgets",
    tags=[TAG],
    opt=takes(PROJECT),
    guards=[may_in_own("usage:read", scope=SCOPE)],
)
async def show_forecast(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> ForecastView:
    """README says how it is made and what its interval covers."""
    caller, now_ns = caller_of(request), services.now_ns()
    project_ids = await find_projects(request, caller, database)
    await wait_for_rows(services)
    month = await read_month_outlook(database, project_ids, now_ns)
    budgets = None
    if _may_see_budgets(caller):
        states = await administration.list_own(
            services.budgets.treasury, caller.account_id, with_operators=is_operator(caller)
        )
        budgets = [_budget(each) for each in await read_budget_outlooks(database, states, now_ns)]
    return _forecast(month, budgets, now_ns)


def _may_see_budgets(caller: Caller) -> bool:
    if caller.person is not None:
        return may(caller.person.role, "account:read")
    return caller.key is not None and caller.key.is_account_wide


def _overview(overview: Overview) -> OverviewView:
    period = overview.period
    return OverviewView(
        since=moment_text(period.from_ns),
        until=moment_text(period.to_ns),
        bucket_s=period.bucket_ns // _NS_PER_S,
        total=FiguresView(**_figures(overview.total)),
        previous=FiguresView(**_figures(overview.previous)),
        series=_series(overview.series),
        previous_series=_series(overview.previous_series),
    )


def _series(series: Series) -> list[BucketView]:
    return [BucketView(at=moment_text(start_ns), **_figures(figures)) for start_ns, figures in series]


def _figures(figures: Figures) -> dict[str, Any]:
    saved_pusd = figures.exact_saved_pusd + figures.semantic_saved_pusd
    return {
        "requests": figures.requests,
        "errors": figures.errors,
        "error_rate": _share(figures.errors, figures.requests),
        "tokens": figures.tokens,
        "cost_usd": usd_number(figures.cost_pusd),
        "without_usd": usd_number(figures.cost_pusd + saved_pusd),
        "saved_exact_usd": usd_number(figures.exact_saved_pusd),
        "saved_semantic_usd": usd_number(figures.semantic_saved_pusd),
        "saved_prompt_cache_usd": usd_number(figures.prompt_saved_pusd),
        "hits_exact": figures.exact_hits,
        "hits_semantic": figures.semantic_hits,
        "hit_rate_exact": _share(figures.exact_hits, figures.requests),
        "hit_rate_semantic": _share(figures.semantic_hits, figures.requests),
        "latency_p50_ms": _rounded(figures.latency_ms(0.5)),
        "latency_p95_ms": _rounded(figures.latency_ms(0.95)),
        "overhead_p50_ms": _rounded(figures.overhead_us(0.5), 1_000),
        "overhead_p95_ms": _rounded(figures.overhead_us(0.95), 1_000),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rounded(value: float | None, divisor: int = 1) -> float | None:
    """To the microsecond: the histogram's buckets are wider."""
    return None if value is None else round(value / divisor, 3)


def _forecast(month: MonthOutlook, budgets: list[BudgetForecastView] | None, now_ns: int) -> ForecastView:
    total = month.total
    spent, last = total.cost_pusd, month.path[-1].outlook
    return ForecastView(
        month=month_text(month.from_ns),
        since=moment_text(month.from_ns),
        until=moment_text(month.to_ns),
        as_of=moment_text(now_ns),
        spent_usd=usd_number(spent),
        without_usd=usd_number(spent + total.exact_saved_pusd + total.semantic_saved_pusd),
        level=LEVEL,
        is_sure=month.pace.is_sure,
        **_interval(last, spent),
        days=[DayCostView(date=day_text(day_ns), cost_usd=usd_number(cost)) for day_ns, cost in month.days],
        path=[StepView(date=day_text(step.day_ns), **_interval(step.outlook, spent)) for step in month.path],
        budgets=budgets,
    )


def _budget(each: BudgetOutlook) -> BudgetForecastView:
    state, budget = each.state, each.state.budget
    return BudgetForecastView(
        id=budget.budget_id,
        scope=budget.scope,
        scope_id=budget.tag or budget.scope_id,
        window=budget.span,
        limit_usd=usd_number(budget.limit_pusd),
        spent_usd=usd_number(state.spent_pusd),
        **_interval(each.outlook, state.spent_pusd),
        resets_at=moment_text(state.window.end_ns),
        chance=round(each.outlook.chance_above(budget.limit_pusd), 4),
        reaches_limit_on=None if each.reaches_ns is None else day_text(each.reaches_ns),
    )


def _interval(outlook: Outlook, spent: int) -> dict[str, msgspec.Raw]:
    low, high = outlook.low(spent), outlook.high
    return {
        "low_usd": usd_number(round(low)),
        "forecast_usd": usd_number(round(max(outlook.expected, low))),
        "high_usd": usd_number(round(max(high, low))),
    }


OVERVIEW_ROUTES = (show_figures, show_measured, show_top, show_forecast)
