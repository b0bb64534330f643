"""Calls as they are stored, as a stream of server-sent events that can be taken up again where it broke.

Every listener reads the ledger's feed at its own pace, so nothing is queued for a slow one. The caller is looked up
again every few seconds: when the session or the key has ended, so does the stream, with an event that says so.

Failure behavior: while the database is away nothing is told and the stream stays open. More than MAX_LISTENERS in one
process are refused with 503.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.exceptions import LitestarException
from litestar.response import Stream

from gateway.analytics.calls.filters import read_filter
from gateway.analytics.calls.tail import News, Tail
from gateway.analytics.usage import InvalidUsageQuery
from gateway.db import Database, DatabaseUnavailable
from gateway.errors import Fault
from gateway.pipeline.services import Services
from gateway.surfaces.access import caller_of, may_in_own
from gateway.surfaces.parameters import Parameter, asked, takes
from gateway.surfaces.views.listeners import Listeners
from gateway.surfaces.views.log import TERMS, view_line
from gateway.surfaces.views.reach import PROJECT, AnyRequest, find_projects
from gateway.surfaces.views.usage import SCOPE, TAG

# Between two looks at the feed; after so much silence a comment; and how often the caller is looked up.
POLL_S = 0.5
HEARTBEAT_S = 15.0
RECHECK_S = 5.0
_HEARTBEAT = b": keepalive\n\n"
_GUARD = may_in_own("usage:read", scope=SCOPE)
_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


@get(
    "/api/requests/live",
    summary="Follow calls as they are stored",
    tags=[TAG],
    media_type="text/event-stream",
    opt=takes(*TERMS, PROJECT, Parameter(name="after", meaning="The id of the last event that was heard")),
    guards=[_GUARD],
)
async def follow_requests(
    request: AnyRequest,
    services: NamedDependency[Services],
    database: NamedDependency[Database],
    listeners: NamedDependency[Listeners],
) -> Stream:
    """Events `request` (as in the list), `gap` (some were missed), `end`. `Last-Event-ID` or `after`; terms."""
    given = asked(request)
    project_ids = await find_projects(request, caller_of(request), database)
    try:
        tail = Tail(database, project_ids, read_filter(given), services.ticks_ns)
        cursor = request.headers.get("last-event-id") or given.get("after")
        if cursor:
            tail.resume(cursor)
    except InvalidUsageQuery as invalid:
        raise Fault("invalid_request", f"{invalid}.", param=invalid.param) from invalid
    listeners.check()
    return Stream(_tell(request, tail, listeners), media_type="text/event-stream", headers=_HEADERS)


async def _tell(request: AnyRequest, tail: Tail, listeners: Listeners) -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    told_at = checked_at = loop.time()
    with listeners.enter() as ending:
        # The head goes out with the first bytes, and a browser tells that the stream is open.
        yield b"retry: 2000\n\n"
        while not ending.is_set():
            if loop.time() - checked_at >= RECHECK_S:
                if not await _is_known(request):
                    yield _write("end", {"reason": "signed_out"})
                    return
                checked_at = loop.time()
            news = await _read(tail)
            if news is not None and (news.lines or news.is_torn):
                yield _write_news(news)
                told_at = loop.time()
            elif loop.time() - told_at >= HEARTBEAT_S:
                yield _HEARTBEAT
                told_at = loop.time()
            if news is None or not news.has_more:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await ending.wait()


async def _read(tail: Tail) -> News | None:
    try:
        return await tail.read()
    except DatabaseUnavailable:
        return None


async def _is_known(request: AnyRequest) -> bool:
    """Whether the caller may still listen; while nobody can tell, they may."""
    try:
        await _GUARD(request, request.route_handler)
    except DatabaseUnavailable:
        return True
    except (Fault, LitestarException):
        return False
    return True


def _write_news(news: News) -> bytes:
    parts = [_write("gap", {"reason": "too_late"})] if news.is_torn else []
    # The cursor is of the whole entry: it goes with the last of its calls.
    last = len(news.lines) - 1
    parts += [
        _write("request", view_line(line), news.cursor if number == last else None)
        for number, line in enumerate(news.lines)
    ]
    return b"".join(parts)


def _write(event: str, data: object, cursor: str | None = None) -> bytes:
    name = b"" if cursor is None else f"id: {cursor}\n".encode()
    return b"event: %s\n%sdata: %s\n\n" % (event.encode(), name, msgspec.json.encode(data))
