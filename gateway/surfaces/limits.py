"""The plans' limits on ordinary routes: counting a request, and the headers of its answer, whatever that is.

Three hooks of the application: before the handler the request is counted, once its guard has let the caller in; with
the answer go the headers, streams and refusals included; and strangers who are refused are counted by their address.

Failure behavior: as gateway.limits.gate; while the database is away a person's plan cannot be read, and the answer is
503.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.types import Message, Scope

from gateway.accounts.directory import KeyRecord
from gateway.accounts.tenancy.refusals import Refusal
from gateway.accounts.tenancy.sessions import Person
from gateway.counters.interface import RateWindow
from gateway.db import Database
from gateway.errors import Fault
from gateway.limits.attempts import Attempts
from gateway.limits.limiting import Limiting
from gateway.limits.plans import find_windows
from gateway.limits.plans_store import read_plan
from gateway.limits.refusals import Headers, choose_shown, headers_of, refuse_rate
from gateway.pipeline.services import Services
from gateway.surfaces import faults
from gateway.surfaces.paths import group_of

AnyRequest = Request[Any, Any, Any]
Connection = ASGIConnection[Any, Any, Any, Any]
# Where a request keeps who makes it, once that is known, and what its answer shows.
KNOWN, BY_COOKIE, SHOWN = "known_caller", "is_by_cookie", "rate_headers"
UNAUTHORIZED = 401


def note_caller(connection: Connection, caller: KeyRecord | Person, *, by_cookie: bool = False) -> None:
    """Keep who makes a request, as soon as a guard knows; a refusal that follows counts as well."""
    connection.state[KNOWN] = caller
    connection.state[BY_COOKIE] = by_cookie


async def count_request(request: AnyRequest) -> None:
    """Count a request before its handler runs; raises Fault."""
    fault = await _count(request)
    if fault is not None:
        raise fault


async def show_limits(message: Message, scope: Scope) -> None:
    """Give the answer its headers; a request of a known caller that no handler was to answer is counted here."""
    if message["type"] != "http.response.start":
        return
    kept: dict[str, Any] = scope["state"]
    if SHOWN not in kept and KNOWN in kept:
        await _count(ASGIConnection(scope))
    headers: Headers = kept.get(SHOWN, ())
    if headers:
        message["headers"] = [*message["headers"], *headers]


def answer_fault(request: AnyRequest, fault: Fault) -> Response[bytes]:
    """Render a fault; a stranger gets too many of them refused."""
    services: Services = request.app.state.services
    strangers, group = services.limiting.strangers, group_of(request.url.path, request.headers)
    if strangers is not None and group is not None and fault.status == UNAUTHORIZED:
        shown, limit = strangers.count(address_of(request), group, services.now_ns())
        request.state[SHOWN] = headers_of(shown)
        fault = limit or fault
    return faults.answer_fault(request, fault)


@asynccontextmanager
async def attempting(
    request: AnyRequest, attempts: Attempts | None, email: str, now_ns: int
) -> AsyncGenerator[None, None]:
    """Let an attempt to sign in or register be made inside, if there were not too many; raises Fault."""
    if attempts is None:
        yield
        return
    attempt = await attempts.begin(address_of(request), email, now_ns)
    request.state[SHOWN] = headers_of(attempt.shown)
    if attempt.refusal is not None:
        raise attempt.refusal
    try:
        yield
    except Refusal:
        raise
    except BaseException:
        # It was not the caller's doing.
        await attempts.succeeded(attempt)
        raise
    await attempts.succeeded(attempt)


def address_of(request: AnyRequest) -> str:
    """The network address that a request came from; what it says itself of where it came from is not asked."""
    return "" if request.client is None else request.client.host


async def _count(connection: Connection) -> Fault | None:
    services: Services = connection.app.state.services
    limiting = services.limiting
    known: KeyRecord | Person | None = connection.state.get(KNOWN)
    connection.state[SHOWN] = ()
    if not limiting.gate.enforce or known is None:
        return None
    plan, windows = await _find_windows(connection, known, limiting)
    if not windows:
        return None
    now_ns = services.now_ns()
    taken = await limiting.gate.take(windows, (1,) * len(windows), now_ns)
    connection.state[SHOWN] = headers_of(choose_shown(windows, taken.windows))
    return None if taken.is_admitted else refuse_rate(windows, taken.windows, plan, now_ns)


async def _find_windows(
    connection: Connection, known: KeyRecord | Person, limiting: Limiting
) -> tuple[str | None, tuple[RateWindow, ...]]:
    """The plan of who calls, and what the request counts in."""
    group = group_of(connection.url.path, connection.headers)
    if group is None:
        return None, ()
    if isinstance(known, KeyRecord):
        return known.plan, limiting.gate.windows_of(known, group)
    database: Database = connection.app.state.database
    plan, overrides = await read_plan(database, known.account_id)
    if group == "api" and connection.state[BY_COOKIE]:
        group = "dashboard"
    return plan, find_windows(group, plan, overrides, known.account_id)
