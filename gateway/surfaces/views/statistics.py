"""What an account used: the dashboard's overview (W23), a month of it (E11), and how many calls it ever made (S4).

Failure behavior: while the database is away the answer is 503.
"""

from typing import Any, get_args

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency

from gateway.analytics.dashboard import Period, read_month, read_overview, read_span
from gateway.analytics.moments import day_text, month_text
from gateway.analytics.store import list_project_ids
from gateway.db import Database
from gateway.errors import Fault
from gateway.pipeline.services import Services
from gateway.surfaces.access import Caller, caller_of, may_in_account, may_in_own
from gateway.surfaces.parameters import Parameter, asked, takes
from gateway.surfaces.views.usage import SCOPE, TAG, usd_number, wait_for_rows

AnyRequest = Request[Any, Any, Any]
PERIODS: tuple[Period, ...] = get_args(Period)


class ModelView(msgspec.Struct, frozen=True, kw_only=True):
    """One of the models that cost most."""

    model: str
    requests: int
    cost: msgspec.Raw


class DayView(msgspec.Struct, frozen=True, kw_only=True):
    """A day in UTC."""

    date: str
    requests: int
    cost: msgspec.Raw


class OverviewView(msgspec.Struct, frozen=True, kw_only=True):
    """Row W23; whatever the period, ``requests_today`` is of today and ``cost_this_month`` of the calendar month."""

    requests_total: int
    requests_today: int
    cache_hit_rate: float
    cost_this_month: msgspec.Raw
    cost_saved: msgspec.Raw
    top_models: list[ModelView]
    chart_data: list[DayView]


class DeploymentView(msgspec.Struct, frozen=True, kw_only=True):
    """What one deployment used."""

    deployment_id: str
    requests: int
    tokens: int
    gpu_hours: int


class MonthView(msgspec.Struct, frozen=True, kw_only=True):
    """Row E11; nothing is deployed yet, so there are no machines and no deployments."""

    period: str
    total_requests: int
    total_tokens: int
    cost_usd: msgspec.Raw
    by_deployment: list[DeploymentView]
    gpu_hours: int = 0


@get(
    "/api/dashboard/stats",
    summary="What the account used",
    tags=[TAG],
    opt=takes(Parameter(name="period", meaning="The days that end today", choices=PERIODS, default="30d")),
    guards=[may_in_account("usage:read", scope=SCOPE)],
)
async def show_overview(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> OverviewView:
    """Days are UTC's and today's is the last."""
    period: Period = msgspec.convert(asked(request).get("period", "30d"), Period)
    await wait_for_rows(services)
    overview = await read_overview(database, await _projects(caller_of(request), database), period, services.now_ns())
    return OverviewView(
        requests_total=overview.total.requests,
        requests_today=overview.today.requests,
        cache_hit_rate=overview.total.cache_hit_rate,
        cost_this_month=usd_number(overview.this_month.cost_pusd),
        cost_saved=usd_number(overview.total.saved_pusd),
        top_models=[
            ModelView(model=model, requests=sums.requests, cost=usd_number(sums.cost_pusd))
            for model, sums in overview.models
        ],
        chart_data=[
            DayView(date=day_text(day_ns), requests=sums.requests, cost=usd_number(sums.cost_pusd))
            for day_ns, sums in overview.days
        ],
    )


@get(
    "/v1/usage",
    summary="What was used in a month",
    tags=[TAG],
    opt=takes(Parameter(name="period", meaning="A calendar month in UTC such as 2025-01; by default the current one")),
    guards=[may_in_own("usage:read", scope=SCOPE)],
)
async def show_month(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> MonthView:
    """Of the account, or of the key's project."""
    month = asked(request).get("period")
    try:
        from_ns, to_ns = read_month(month, services.now_ns())
    except ValueError as error:
        raise Fault("invalid_request", f"period={error}.", param="period") from error
    await wait_for_rows(services)
    sums = await read_span(database, await _projects(caller_of(request), database), from_ns, to_ns)
    return MonthView(
        # What lies beyond all dates is read as the last of them, in which nothing was used either.
        period=month or month_text(from_ns),
        total_requests=sums.requests,
        total_tokens=sums.tokens,
        cost_usd=usd_number(sums.cost_pusd),
        by_deployment=[],
    )


async def _projects(caller: Caller, database: Database) -> tuple[str, ...]:
    """Whose usage the caller sees: a project key its project's, anybody else their account's."""
    if caller.project_id is not None:
        return (caller.project_id,)
    async with database.read() as connection:
        return await list_project_ids(connection, caller.account_id)


STATISTICS_ROUTES = (show_overview, show_month)
