"""The log of calls over HTTP: page by page, or as CSV.

Failure behavior: while the database is away, and while usage of an older version is being summed up, the answer is 503;
an export then stops in the middle, which the connection's end shows.
"""

from collections.abc import AsyncGenerator, Mapping

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.response import Stream

from gateway.analytics.calls.filters import CHOICES, NAMES, Filter, read_filter
from gateway.analytics.calls.log import CallLine, Page, Place, read_cursor, read_page
from gateway.analytics.moments import moment_text
from gateway.analytics.usage import CSV_PAGE_ROWS, InvalidUsageQuery, csv_cell
from gateway.db import Database
from gateway.errors import Fault
from gateway.ledger.figures.tags import split_tags
from gateway.pipeline.services import Services
from gateway.surfaces.access import caller_of, may_in_own
from gateway.surfaces.parameters import Parameter, asked, count_of, takes
from gateway.surfaces.views.reach import PROJECT, AnyRequest, find_projects, period, period_of
from gateway.surfaces.views.usage import SCOPE, TAG, usd_number, wait_for_rows
from providers.pricing.prices import format_usd

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
DEFAULT_RANGE = "24h"
TERMS: tuple[Parameter, ...] = tuple(
    Parameter(name=name, meaning=meaning, choices=CHOICES.get(name)) for name, meaning in NAMES.items()
)
# What the list and the export take.
FILTER = (*TERMS, PROJECT, *period(DEFAULT_RANGE))
CSV_COLUMNS = (
    "id,created_at,project_id,key_id,endpoint,model,provider,upstream_model,status,http_status,error_code,stream,"
    "cached,cache_layer,input_tokens,output_tokens,tokens_saved,cost_usd,saved_usd,latency_ms,attempts,tags,session"
)


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """A call; of an answer from the cache tokens and cost are 0."""

    id: str
    created_at: str
    project_id: str
    key_id: str
    endpoint: str
    # The name that the caller used; who answered, and the name it was asked for.
    model: str
    provider: str
    upstream_model: str
    status: str
    http_status: int
    error_code: str | None
    stream: bool
    cached: bool
    # "exact" or "semantic"; null where the call was made.
    cache_layer: str | None
    cache_entry: str | None
    tokens: int
    input_tokens: int
    output_tokens: int
    tokens_saved: int
    cost_usd: msgspec.Raw
    saved_usd: msgspec.Raw
    cost_basis: str
    latency_ms: int
    first_byte_ms: int | None
    overhead_ms: float
    attempts: int
    tags: list[str]
    session: str


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. With a ``next_cursor`` there may be more, though a page can be short: rare calls are looked for in
    steps, and ``scanned_to`` tells how far."""

    requests: list[LineView]
    next_cursor: str | None
    scanned_to: str


@get(
    "/api/requests",
    summary="List calls",
    tags=[TAG],
    opt=takes(
        *FILTER,
        Parameter(name="limit", meaning="The most calls of a page", most=MAX_LIMIT, default=DEFAULT_LIMIT),
        Parameter(name="cursor", meaning="The next_cursor of the page before"),
    ),
    guards=[may_in_own("usage:read", scope=SCOPE)],
)
async def list_requests(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> LogPage:
    """All terms that are given must hold; a parameter that is none of these is refused."""
    given = asked(request)
    wanted, cursor, limit = _read_filter(given), given.get("cursor"), count_of(request, "limit")
    meant = period_of(request, services.now_ns(), DEFAULT_RANGE)
    after = _read_cursor(cursor) if cursor else None
    project_ids = await find_projects(request, caller_of(request), database)
    await wait_for_rows(services)
    async with database.read() as connection:
        page = await read_page(connection, project_ids, wanted, (meant.from_ns, meant.to_ns), limit, after)
    return _view(page)


@get(
    "/api/requests/export",
    summary="Export calls as CSV",
    tags=[TAG],
    opt=takes(*FILTER),
    media_type="text/csv",
    guards=[may_in_own("usage:read", scope=SCOPE)],
)
async def export_requests(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> Stream:
    """The same terms as the list; all calls that match, newest first."""
    wanted = _read_filter(asked(request))
    meant = period_of(request, services.now_ns(), DEFAULT_RANGE)
    project_ids = await find_projects(request, caller_of(request), database)
    await wait_for_rows(services)
    return Stream(
        _export(database, project_ids, wanted, (meant.from_ns, meant.to_ns)),
        media_type="text/csv",
        headers={"content-disposition": 'attachment; filename="requests.csv"', "cache-control": "no-store"},
    )


async def _export(
    database: Database, project_ids: tuple[str, ...], wanted: Filter, span_ns: tuple[int, int]
) -> AsyncGenerator[bytes, None]:
    """Yield a page at a time; no connection is held while the client takes it."""
    yield f"{CSV_COLUMNS}\n".encode()
    place: Place | None = None
    while True:
        async with database.read() as connection:
            page = await read_page(connection, project_ids, wanted, span_ns, CSV_PAGE_ROWS, place)
        if page.lines:
            yield "".join(map(_csv_line, page.lines)).encode()
        place = page.next
        if place is None:
            return


def _read_filter(params: Mapping[str, str]) -> Filter:
    try:
        return read_filter(params)
    except InvalidUsageQuery as invalid:
        raise Fault("invalid_request", f"{invalid}.", param=invalid.param) from invalid


def _read_cursor(given: str) -> Place:
    try:
        return read_cursor(given)
    except InvalidUsageQuery as invalid:
        raise Fault("invalid_request", f"{invalid}.", param=invalid.param) from invalid


def _view(page: Page) -> LogPage:
    return LogPage(
        requests=[view_line(line) for line in page.lines],
        next_cursor=None if page.next is None else page.next.write(),
        scanned_to=moment_text(page.scanned_to_ns),
    )


def view_line(line: CallLine) -> LineView:
    """Write a call as the log shows it."""
    input_tokens, output_tokens = (0, 0) if line.is_cached else (line.input_tokens, line.output_tokens)
    return LineView(
        id=line.request_id,
        created_at=moment_text(line.created_ns),
        project_id=line.project_id,
        key_id=line.key_id,
        endpoint=line.endpoint,
        model=line.model,
        provider=line.provider,
        upstream_model=line.upstream_model,
        status=line.status,
        http_status=line.http_status,
        error_code=line.error_code or None,
        stream=line.is_stream,
        cached=line.is_cached,
        cache_layer=layer_of(line),
        cache_entry=line.cache_entry or None,
        tokens=input_tokens + output_tokens,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        tokens_saved=line.tokens_saved,
        cost_usd=usd_number(line.cost_pusd),
        saved_usd=usd_number(line.saved_pusd),
        cost_basis=line.cost_basis,
        latency_ms=line.latency_ms,
        first_byte_ms=line.first_byte_ms or None,
        overhead_ms=line.overhead_us / 1_000,
        attempts=line.attempts,
        tags=split_tags(line.tags),
        session=line.session,
    )


def layer_of(line: CallLine) -> str | None:
    """How the cache found the answer; rows of older versions do not say, and were exact."""
    return (line.cache_layer or "exact") if line.is_cached else None


def _csv_line(line: CallLine) -> str:
    view = view_line(line)
    cells = (
        view.id,
        view.created_at,
        view.project_id,
        view.key_id,
        csv_cell(view.endpoint),
        csv_cell(view.model),
        csv_cell(view.provider),
        csv_cell(view.upstream_model),
        view.status,
        str(view.http_status),
        view.error_code or "",
        "true" if view.stream else "false",
        "true" if view.cached else "false",
        view.cache_layer or "",
        str(view.input_tokens),
        str(view.output_tokens),
        str(view.tokens_saved),
        format_usd(line.cost_pusd),
        format_usd(line.saved_pusd),
        str(view.latency_ms),
        str(view.attempts),
        csv_cell(line.tags),
        csv_cell(view.session),
    )
    return ",".join(cells) + "\n"


LOG_ROUTES = (list_requests, export_requests)
