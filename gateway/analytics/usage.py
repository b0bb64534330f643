"""The usage view of a project: its latest rows, their sums, and the whole of them as CSV.

Failure behavior: raises DatabaseUnavailable as gateway.db does; an export then stops in the middle, which the
connection's end shows.
"""

from collections.abc import AsyncGenerator, Mapping

import msgspec

from gateway.analytics.moments import NS_PER_DAY, moment_text, parse_moment
from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.store import UsageFilter, UsageLog
from gateway.ledger.sums import Sums, Wanted, read_total
from providers.pricing.prices import format_usd

DEFAULT_DAYS = 30
DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000
CSV_HEADER = "date,model,tokens_used,cost_usd,cached,latency_ms"
CSV_PAGE_ROWS = 1_000
# A spreadsheet takes a cell that begins so for a formula.
# Source: https://owasp.org/www-community/attacks/CSV_Injection (2026-11-21).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_QUOTED = frozenset(',"\r\n')


class InvalidUsageQuery(ValueError):
    """A parameter of a usage request cannot be used; ``param`` is its name."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; ``limit`` is None where the caller named none."""

    rows: UsageFilter
    limit: int | None = None


class UsagePage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest rows that were asked for, and the sums over all that match."""

    logs: list[UsageLog]
    sums: Sums


def read_query(project_id: str, now_ns: int, params: Mapping[str, str]) -> UsageQuery:
    """Read the parameters ``from``, ``to``, ``limit`` and ``model``; absent or empty ones get their defaults.

    ``from`` is included, ``to`` is not, but a plain date as ``to`` includes its day. Raises InvalidUsageQuery.
    """
    limit_text = params.get("limit")
    from_ns, to_ns = read_span(now_ns, params)
    rows = UsageFilter(project_id=project_id, from_ns=from_ns, to_ns=to_ns, model=params.get("model") or None)
    return UsageQuery(rows=rows, limit=_read_limit(limit_text) if limit_text else None)


def read_span(now_ns: int, params: Mapping[str, str]) -> tuple[int, int]:
    """Read ``from`` and ``to``: by default 30 days ago and now, of an older ``to`` the 30 days before it.

    Raises InvalidUsageQuery.
    """
    to_text, from_text = params.get("to"), params.get("from")
    to_ns = _read_moment("to", to_text) if to_text else now_ns
    if not from_text:
        ago_ns = DEFAULT_DAYS * NS_PER_DAY
        return max((now_ns if now_ns - ago_ns < to_ns else to_ns) - ago_ns, 0), to_ns
    from_ns = _read_moment("from", from_text)
    # A plain date as ``to`` ends with its day, so the day after it begins at the same moment.
    is_next_day = from_ns == to_ns and to_text is not None and parse_moment(to_text) < to_ns
    if from_ns > to_ns or is_next_day:
        raise InvalidUsageQuery(f"from={from_text!r} lies after to={to_text or 'now'!r}: exchange them", "from")
    return from_ns, to_ns


async def read_page(database: Database, query: UsageQuery) -> UsagePage:
    """Read the newest rows, 100 where no limit was named, and the sums, both of one state of the data."""
    rows = query.rows
    wanted = Wanted(project_ids=(rows.project_id,), from_ns=rows.from_ns, to_ns=rows.to_ns, model=rows.model)
    async with database.read() as connection:
        return UsagePage(
            logs=await store.read_logs(connection, rows, query.limit or DEFAULT_LIMIT),
            sums=await read_total(connection, wanted),
        )


async def export_csv(database: Database, query: UsageQuery) -> AsyncGenerator[bytes, None]:
    """Yield the rows as CSV, newest first, a page at a time; all of them where no limit was named.

    No connection is held while the client takes a page.
    """
    yield f"{CSV_HEADER}\n".encode()
    left, last = query.limit, None
    while left is None or left > 0:
        count = CSV_PAGE_ROWS if left is None else min(left, CSV_PAGE_ROWS)
        async with database.read() as connection:
            logs = await store.read_logs(connection, query.rows, count, last)
        if logs:
            yield "".join(map(_csv_line, logs)).encode()
        if len(logs) < count:
            return
        last = logs[-1]
        left = None if left is None else left - count


def _csv_line(log: UsageLog) -> str:
    return (
        f"{moment_text(log.created_ns)},{csv_cell(log.model)},{log.tokens_used},{format_usd(log.cost_pusd)},"
        f"{'true' if log.is_cached else 'false'},{log.latency_ms}\n"
    )


def csv_cell(text: str) -> str:
    """Write the one cell whose text a caller chooses: harmless to a spreadsheet, one cell to every reader."""
    if text.startswith(_FORMULA_STARTS):
        text = f"'{text}"
    if _QUOTED.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def _read_moment(param: str, text: str) -> int:
    try:
        return parse_moment(text, is_end=param == "to")
    except ValueError as error:
        raise InvalidUsageQuery(f"{param}={error}", param) from error


def _read_limit(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise InvalidUsageQuery(f"limit={text[:64]!r} is not a whole number from 1 to {MAX_LIMIT}", "limit")
