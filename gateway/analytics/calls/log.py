"""The log of calls, newest first, page by page: the same cost on the first page and on the last of ten million.

A page is put together from the hours that have calls which may match. What only the rows tell, such as a latency, is
looked for in at most MAX_SCANNED rows or MAX_SLICES stretches a page: a page may then be short and still not the last.

Failure behavior: raises DatabaseUnavailable as gateway.db does, and while older rows are not summed up yet.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.analytics.calls.filters import Filter
from gateway.analytics.calls.hours import find_hours
from gateway.analytics.usage import InvalidUsageQuery
from gateway.ids import parse_id
from gateway.ledger.figures.reading import check_complete
from gateway.ledger.rollups import HOUR_NS

MAX_SCANNED = 20_000
MAX_SLICES = 50
# Rows that a slice is made for.
_SLICE_ROWS = 400
# Of named calls: a statement has 32,766 parameters at the most on SQLite.
_ASKED_TOGETHER = 10_000
_COST = (
    "CASE WHEN is_cached THEN 0 ELSE cost_pusd END + CAST(COALESCE((SELECT SUM(delta_pusd) FROM corrections "
    "WHERE corrections.request_id = usage.request_id), 0) AS BIGINT) AS cost_pusd"
)
_INPUT = (
    "input_tokens + cache_read_tokens + cache_write_tokens + cache_write_1h_tokens + audio_input_tokens "
    "+ image_input_tokens AS input_tokens"
)
_OUTPUT = "output_tokens + audio_output_tokens + image_output_tokens AS output_tokens"
_COLUMNS = (
    "usage.request_id, usage.created_ns, project_id, key_id, endpoint, model, provider, upstream_model, status, "
    f"http_status, error_code, is_stream, is_cached, cache_layer, cache_entry, {_INPUT}, {_OUTPUT}, tokens_saved, "
    f"{_COST}, saved_pusd, usage.cost_basis, latency_ms, first_byte_ms, overhead_us, attempts, tags, session"
)


class CallLine(msgspec.Struct, frozen=True, kw_only=True):
    """A call in the log; see gateway.ledger.row. The cost has its corrections; of an answer from the cache it is 0."""

    request_id: str
    created_ns: int
    project_id: str
    key_id: str
    endpoint: str
    model: str
    provider: str
    upstream_model: str
    status: str
    http_status: int
    error_code: str
    is_stream: bool
    is_cached: bool
    cache_layer: str
    cache_entry: str
    input_tokens: int
    output_tokens: int
    tokens_saved: int
    cost_pusd: int
    saved_pusd: int
    cost_basis: str
    latency_ms: int
    first_byte_ms: int
    overhead_us: int
    attempts: int
    tags: str
    session: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the next page begins: behind this call, or where ``request_id`` is empty, before this moment."""

    created_ns: int
    request_id: str = ""

    def write(self) -> str:
        """As a cursor."""
        return f"{self.created_ns:x}.{self.request_id}"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Calls, newest first; ``next`` is None behind the last one."""

    lines: list[CallLine]
    next: Place | None
    # How far back was looked.
    scanned_to_ns: int


class _Slice(msgspec.Struct, frozen=True, kw_only=True):
    since_ns: int
    until_ns: int
    rows: int


def read_cursor(given: str) -> Place:
    """Read what ``Place.write`` wrote; raises InvalidUsageQuery."""
    moment, dot, request_id = given.partition(".")
    try:
        if not dot:
            raise ValueError(given)
        created_ns = int(moment[:16], 16)
        return Place(created_ns=created_ns, request_id=parse_id(request_id) if request_id else "")
    except ValueError as error:
        raise InvalidUsageQuery(f"cursor={given[:64]!r} is not one of an earlier page", "cursor") from error


async def read_page(  # noqa: PLR0913, PLR0917 - what a page is of
    connection: AsyncConnection,
    project_ids: Sequence[str],
    wanted: Filter,
    period: tuple[int, int],
    limit: int,
    after: Place | None = None,
) -> Page:
    """Read a page of the calls of a period."""
    from_ns, before_ns = period
    if not project_ids or from_ns >= before_ns:
        return Page(lines=[], next=None, scanned_to_ns=from_ns)
    place = after or Place(created_ns=before_ns)
    lines: list[CallLine] = []
    if wanted.request_id is not None:
        lines = await _read_slice(connection, project_ids, wanted, (from_ns, before_ns), place, limit)
        return Page(lines=lines, next=None, scanned_to_ns=from_ns)
    await check_complete(connection)
    scanned = slices = 0
    before_ns = min(before_ns, place.created_ns + (1 if place.request_id else 0))
    async with aclosing(_cut(find_hours(connection, project_ids, wanted, from_ns, before_ns))) as found:
        async for piece in found:
            if piece.since_ns >= before_ns:
                # The rest of an hour that an earlier page began with.
                continue
            if scanned >= MAX_SCANNED or slices >= MAX_SLICES:
                stop = Place(created_ns=min(piece.until_ns, before_ns))
                return Page(lines=lines, next=stop, scanned_to_ns=stop.created_ns)
            stretch = (max(piece.since_ns, from_ns), min(piece.until_ns, before_ns))
            lines += await _read_slice(connection, project_ids, wanted, stretch, place, limit - len(lines))
            if len(lines) >= limit:
                last = Place(created_ns=lines[-1].created_ns, request_id=lines[-1].request_id)
                return Page(lines=lines, next=last, scanned_to_ns=last.created_ns)
            scanned += piece.rows
            slices += 1
    return Page(lines=lines, next=None, scanned_to_ns=from_ns)


async def _cut(hours: AsyncGenerator[tuple[int, int], None]) -> AsyncGenerator[_Slice, None]:
    """Join hours with few calls that follow each other, and cut those with very many."""
    joined: _Slice | None = None
    async with aclosing(hours):
        async for start_ns, requests in hours:
            piece = _Slice(since_ns=start_ns, until_ns=start_ns + HOUR_NS, rows=requests)
            if joined is not None and joined.since_ns == piece.until_ns and joined.rows + requests <= _SLICE_ROWS:
                joined = _Slice(since_ns=start_ns, until_ns=joined.until_ns, rows=joined.rows + requests)
                continue
            if joined is not None:
                for part in _divide(joined):
                    yield part
            joined = piece
    if joined is not None:
        for part in _divide(joined):
            yield part


def _divide(piece: _Slice) -> list[_Slice]:
    count = max(piece.rows // MAX_SCANNED * 16, 1)
    length_ns = -(-(piece.until_ns - piece.since_ns) // count)
    return [
        _Slice(since_ns=max(until_ns - length_ns, piece.since_ns), until_ns=until_ns, rows=-(-piece.rows // count))
        for until_ns in range(piece.until_ns, piece.since_ns, -length_ns)
    ]


async def _read_slice(  # noqa: PLR0913, PLR0917 - what is read
    connection: AsyncConnection,
    project_ids: Sequence[str],
    wanted: Filter,
    stretch: tuple[int, int],
    place: Place,
    limit: int,
) -> list[CallLine]:
    terms, values = wanted.write()
    statement = text(
        f"SELECT {_COLUMNS} FROM usage WHERE project_id IN :project_ids AND usage.created_ns >= :from_ns "  # noqa: S608 - constants
        f"AND usage.created_ns < :to_ns AND (usage.created_ns, usage.request_id) < (:place_ns, :place_id){terms} "
        "ORDER BY usage.created_ns DESC, usage.request_id DESC LIMIT :limit"
    ).bindparams(bindparam("project_ids", expanding=True))
    bound: dict[str, Any] = {
        **values,
        "project_ids": list(project_ids),
        "from_ns": stretch[0],
        "to_ns": stretch[1],
        "place_ns": place.created_ns,
        "place_id": place.request_id,
        "limit": limit,
    }
    found = (await connection.execute(statement, bound)).mappings()
    return [msgspec.convert(dict(row), CallLine, strict=False) for row in found]


async def read_lines(
    connection: AsyncConnection, project_ids: Sequence[str], wanted: Filter, request_ids: Sequence[str]
) -> list[CallLine]:
    """Read those of some calls that are of the projects and match, in the order in which they are named."""
    if not request_ids or not project_ids:
        return []
    terms, values = wanted.write()
    statement = text(
        f"SELECT {_COLUMNS} FROM usage WHERE usage.request_id IN :request_ids AND project_id IN :project_ids{terms}"  # noqa: S608 - constants
    ).bindparams(bindparam("project_ids", expanding=True), bindparam("request_ids", expanding=True))
    found: dict[str, CallLine] = {}
    for start in range(0, len(request_ids), _ASKED_TOGETHER):
        asked = list(request_ids[start : start + _ASKED_TOGETHER])
        bound = {**values, "project_ids": list(project_ids), "request_ids": asked}
        for row in (await connection.execute(statement, bound)).mappings():
            found[row["request_id"]] = msgspec.convert(dict(row), CallLine, strict=False)
    return [found[request_id] for request_id in request_ids if request_id in found]
