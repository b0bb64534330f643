"""A project's usage and its export, for people of its account and for its keys.

Failure behavior: another project's id is not found, as if it did not exist. While the database is away the answer is
503; what is still in the journal is not shown then, and not lost.
"""

import asyncio
import contextlib
from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from gateway.analytics.moments import moment_text
from gateway.analytics.usage import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    InvalidUsageQuery,
    UsageQuery,
    export_csv,
    read_page,
    read_query,
)
from gateway.db import Database
from gateway.errors import Fault
from gateway.ledger.store import UsageLog
from gateway.pipeline.services import Services
from gateway.surfaces.access import caller_of, may_in_project
from gateway.surfaces.parameters import Parameter, asked, takes
from gateway.surfaces.views.reach import FROM, TO
from providers.pricing.prices import format_usd

AnyRequest = Request[Any, Any, Any]
# How long a reader waits for rows that were just recorded to reach the database.
FRESHNESS_S = 2.0
SCOPE = "usage:read"
TAG = "Usage"
LIMIT = "The most calls; the export has all of them where it is left out"
MODEL = Parameter(name="model", meaning="Calls of this model alone, by the name that the caller used")


class LogView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call, as row W30 has it; ``tokens_saved`` is there where the cache answered it, or a part of it."""

    id: str
    model: str
    tokens_used: int
    # Exact: a JSON number that no float has touched.
    cost_usd: msgspec.Raw
    cached: bool
    latency_ms: int
    created_at: str
    tokens_saved: int | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over every matching call, not only those listed."""

    total_requests: int
    total_tokens: int
    total_cost: msgspec.Raw
    cache_hits: int
    cache_hit_rate: float


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    """The newest calls, how many match, and their sums.

    Audits are calls that match: they are listed, and counted in ``total``, tokens and cost; they are no requests.
    """

    logs: list[LogView]
    total: int
    summary: Summary


@get(
    "/api/projects/{project_id:str}/usage",
    summary="List a project's calls and their cost",
    tags=[TAG],
    opt=takes(FROM, TO, Parameter(name="limit", meaning=LIMIT, most=MAX_LIMIT, default=DEFAULT_LIMIT), MODEL),
    guards=[may_in_project("usage:read", scope=SCOPE)],
)
async def show_usage(
    request: AnyRequest,
    project_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> UsageView:
    """The newest, and the sums of all that match."""
    query = await _read(request, services)
    page = await read_page(database, query)
    sums = page.sums
    return UsageView(
        logs=[_view(log) for log in page.logs],
        total=sums.rows,
        summary=Summary(
            total_requests=sums.requests,
            total_tokens=sums.tokens,
            total_cost=usd_number(sums.cost_pusd),
            cache_hits=sums.cache_hits,
            cache_hit_rate=sums.cache_hit_rate,
        ),
    )


@get(
    "/api/projects/{project_id:str}/usage/export",
    summary="Export a project's calls as CSV",
    tags=[TAG],
    opt=takes(FROM, TO, Parameter(name="limit", meaning=LIMIT, most=MAX_LIMIT), MODEL),
    media_type="text/csv",
    guards=[may_in_project("usage:read", scope=SCOPE)],
)
async def export_usage(
    request: AnyRequest,
    project_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> Stream:
    """The same parameters as the list; without `limit` all matching calls, newest first."""
    query = await _read(request, services)
    return Stream(
        export_csv(database, query),
        media_type="text/csv",
        headers={"content-disposition": 'attachment; filename="usage.csv"', "cache-control": "no-store"},
    )


async def _read(request: AnyRequest, services: Services) -> UsageQuery:
    """Check the parameters, and wait for what was just recorded."""
    project_id = caller_of(request).project_id
    assert project_id is not None, "the guard found the project"  # noqa: S101 - for the type checkers
    try:
        query = read_query(project_id, services.now_ns(), asked(request))
    except InvalidUsageQuery as invalid:
        raise Fault("invalid_request", f"{invalid}.", param=invalid.param) from invalid
    await wait_for_rows(services)
    return query


async def wait_for_rows(services: Services) -> None:
    """Let what was just recorded reach the database, so that the next question has it."""
    # While the database is away this cannot succeed, and the query that follows says so.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FRESHNESS_S):
            await services.recorder.flush()


def _view(log: UsageLog) -> LogView:
    return LogView(
        id=f"log_{log.request_id}",
        model=log.model,
        tokens_used=log.tokens_used,
        cost_usd=usd_number(log.cost_pusd),
        cached=log.is_cached,
        latency_ms=log.latency_ms,
        created_at=moment_text(log.created_ns),
        tokens_saved=log.tokens_saved if log.is_cached or log.tokens_saved else None,
    )


def usd_number(amount_pusd: int) -> msgspec.Raw:
    """Write an amount in dollars as a JSON number that no float has touched (row I5)."""
    return msgspec.Raw(format_usd(amount_pusd).encode())
