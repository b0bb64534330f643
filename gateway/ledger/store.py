"""The SQL of usage rows: how they get into the database, and what is asked of them.

Failure behavior: raises DatabaseUnavailable as gateway.db does. A row that is there already is left as it is, so that
inserting twice, as a replay does, changes nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from msgspec.structs import astuple
from sqlalchemy import RowMapping, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import DatabaseUnavailable, run_sqlite
from gateway.ledger import rollups
from gateway.ledger.alike import COLUMNS, SHARED, Batch, Own, gather
from gateway.ledger.feed import note_stored
from gateway.ledger.figures import sums as figures
from gateway.ledger.inserts import SqliteInsert
from gateway.ledger.row import UsageRow
from gateway.ledger.spans import Range, find_windows

# Takes rows that are being stored for the first time, inside the same transaction.
TakeStored = Callable[[AsyncConnection, Sequence[UsageRow]], Awaitable[None]]
_TYPES: dict[Any, str] = {str: "TEXT", int: "BIGINT", bool: "BOOLEAN"}
_INTO = f"INSERT INTO usage ({', '.join(COLUMNS)})"
# To give SQLite a value takes as long as to store it. What many rows of a batch have in common it is given once; of the
# others most do not give it these.
_ALIKE: dict[str, str | int] = {
    "status": "complete", "http_status": 200, "error_code": "", "is_cached": 0, "cache_write_tokens": 0,
    "cache_write_1h_tokens": 0, "audio_input_tokens": 0, "image_input_tokens": 0, "audio_output_tokens": 0,
    "image_output_tokens": 0, "is_estimated": 0, "is_anomalous": 0, "tokens_saved": 0, "saved_pusd": 0, "attempts": 1,
    "session": "", "lost_pusd": 0, "trail": "", "cache_entry": "", "cache_layer": "",
}  # fmt: skip
_ALIKE_VALUES = tuple(_ALIKE.values())
_alike = itemgetter(*map(COLUMNS.index, _ALIKE))
_others = itemgetter(*[position for position, name in enumerate(COLUMNS) if name not in _ALIKE])
_FIXED = {COLUMNS.index(name): f"'{value}'" if isinstance(value, str) else str(value) for name, value in _ALIKE.items()}
_SHARED_FIRST = f"INSERT INTO usage ({', '.join((*SHARED, *Own._fields))})"
_SQLITE_TOGETHER = SqliteInsert(_SHARED_FIRST, len(COLUMNS), "ON CONFLICT DO NOTHING", shared=len(SHARED))
_SQLITE = SqliteInsert(_INTO, len(COLUMNS), "ON CONFLICT DO NOTHING")
_SQLITE_ALIKE = SqliteInsert(_INTO, len(COLUMNS), "ON CONFLICT DO NOTHING", _FIXED)
# All rows in one JSON parameter: the server takes it apart, and this process spends a third of the time that 38
# parameters a row would take.
_POSTGRES_SELECT = ", ".join(
    f"(r ->> {position})::{_TYPES[field.type]}" for position, field in enumerate(msgspec.structs.fields(UsageRow))
)
_POSTGRES = f"{_INTO} SELECT {_POSTGRES_SELECT} FROM jsonb_array_elements($1::jsonb) AS r ON CONFLICT DO NOTHING"  # noqa: S608 - made of constants

_TOKENS = (
    "input_tokens + cache_read_tokens + cache_write_tokens + cache_write_1h_tokens + audio_input_tokens "
    "+ image_input_tokens + output_tokens + audio_output_tokens + image_output_tokens"
)
# An answer from the cache used no tokens and cost nothing; what it saved stands in columns of its own.
_COST = (
    "CASE WHEN is_cached THEN 0 ELSE cost_pusd + "
    "CAST(COALESCE((SELECT SUM(delta_pusd) FROM corrections WHERE corrections.request_id = usage.request_id), 0) "
    "AS BIGINT) END"
)
_LOG = (
    f"SELECT usage.request_id, usage.created_ns, model, is_cached, CASE WHEN is_cached THEN 0 ELSE {_TOKENS} END "
    f"AS tokens_used, {_COST} AS cost_pusd, tokens_saved, latency_ms, status, is_estimated "
)
_ORDER = "ORDER BY created_ns DESC, request_id DESC LIMIT :limit"
_READ_LOGS = text(
    f"{_LOG} FROM usage WHERE project_id = :project_id AND created_ns >= :from_ns AND created_ns < :to_ns "
    f"AND (created_ns, request_id) < (:before_ns, :before_id) {_ORDER}"
)
# So many parts of a period in one statement.
_WINDOWS = 50
_WINDOW_VALUES = ", ".join(f"(CAST(:from{n} AS BIGINT), CAST(:to{n} AS BIGINT))" for n in range(_WINDOWS))
# The index alone tells which rows they are; only those are read.
_READ_MODEL_LOGS = text(
    f"WITH windows (since, until) AS (VALUES {_WINDOW_VALUES}), found (found_id) AS ("  # noqa: S608 - made of constants
    "SELECT request_id FROM windows CROSS JOIN usage WHERE project_id = :project_id AND created_ns >= since "
    "AND created_ns < until AND model = :model AND (created_ns, request_id) < (:before_ns, :before_id) "
    f"{_ORDER}) {_LOG} FROM found CROSS JOIN usage WHERE usage.request_id = found_id "
    "ORDER BY usage.created_ns DESC, usage.request_id DESC"
)
_FIND_KNOWN = text("SELECT request_id FROM usage WHERE request_id IN :request_ids").bindparams(
    bindparam("request_ids", expanding=True)
)
_READ_COSTS = text("SELECT request_id, is_cached, cost_pusd FROM usage WHERE request_id IN :request_ids").bindparams(
    bindparam("request_ids", expanding=True)
)
_ASKED_TOGETHER = 1_000
# Above every row.
_NEWEST = {"before_ns": 2**63 - 1, "before_id": ""}


class UsageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are meant: a project's, from a moment on and before another."""

    project_id: str
    from_ns: int
    to_ns: int
    # The name that the caller used; None: every model.
    model: str | None = None


class UsageLog(msgspec.Struct, frozen=True, kw_only=True):
    """A row as the usage views show it; of an answer from the cache, tokens used and cost are 0."""

    request_id: str
    created_ns: int
    model: str
    is_cached: bool
    tokens_used: int
    cost_pusd: int
    tokens_saved: int
    latency_ms: int
    status: str
    is_estimated: bool


async def insert_rows(connection: AsyncConnection, rows: Sequence[UsageRow]) -> Sequence[UsageRow]:
    """Insert the rows that are not there yet, with their sums, inside the caller's transaction; returns those."""
    batch = gather(rows, rollups.HOUR_NS)
    if not await _insert_all(connection, rows, batch):
        # A replay: which of the rows are new must be known before they are in.
        known = (await connection.execute(_FIND_KNOWN, {"request_ids": [row.request_id for row in rows]})).scalars()
        fresh = {row.request_id: row for row in reversed(rows)}
        for request_id in known:
            del fresh[request_id]
        rows = list(fresh.values())
        batch = gather(rows, rollups.HOUR_NS)
        if await _insert(connection, rows, batch) != len(rows):
            raise DatabaseUnavailable("another process stored the same usage rows at this moment")
    await rollups.add_rows(connection, rows, batch)
    await figures.add_rows(connection, rows, batch)
    await note_stored(connection, rows)
    return rows


async def _insert_all(connection: AsyncConnection, rows: Sequence[UsageRow], batch: Batch) -> bool:
    """Insert the rows where none is there yet; False, and none inserted, where one is."""
    if connection.dialect.name == "postgresql":
        savepoint = await connection.begin_nested()
        is_new = await _insert(connection, rows, batch) == len(rows)
        await (savepoint.commit() if is_new else savepoint.rollback())
        return is_new
    await run_sqlite(connection, "SAVEPOINT new_rows")
    is_new = await _insert(connection, rows, batch) == len(rows)
    if not is_new:
        await run_sqlite(connection, "ROLLBACK TO new_rows")
    await run_sqlite(connection, "RELEASE new_rows")
    return is_new


async def _insert(connection: AsyncConnection, rows: Sequence[UsageRow], batch: Batch) -> int:
    """Insert the rows that are not there yet, which ``batch`` has as well; returns how many."""
    if connection.dialect.name == "postgresql":
        # PostgreSQL stores every character but NUL.
        encoded = msgspec.json.encode(rows).replace(b"\\u0000", b"\\ufffd").decode()
        return (await connection.exec_driver_sql(_POSTGRES, (encoded,))).rowcount
    inserted = await _SQLITE_TOGETHER.run_parts(connection, [(kind.shared, kind.rows) for kind in batch.alike])
    alike: list[tuple[Any, ...]] = []
    full: list[tuple[Any, ...]] = []
    for values in map(astuple, batch.others):
        if _alike(values) == _ALIKE_VALUES:
            alike.append(_others(values))
        else:
            full.append(values)
    return inserted + await _SQLITE_ALIKE.run(connection, alike) + await _SQLITE.run(connection, full)


async def read_logs(
    connection: AsyncConnection, wanted: UsageFilter, limit: int, before: UsageLog | None = None
) -> list[UsageLog]:
    """Read up to ``limit`` rows, newest first, all of them older than ``before``."""
    place = _NEWEST if before is None else {"before_ns": before.created_ns, "before_id": before.request_id}
    values: dict[str, Any] = {"project_id": wanted.project_id, "limit": limit, **place}
    to_ns = wanted.to_ns if before is None else min(wanted.to_ns, before.created_ns + 1)
    period = (wanted.from_ns, to_ns)
    if wanted.model is None:
        found = await connection.execute(_READ_LOGS, {**values, "from_ns": period[0], "to_ns": period[1]})
        return _read(found.mappings().all())
    windows = await find_windows(connection, wanted.project_id, wanted.model, period, limit)
    logs: list[UsageLog] = []
    for start in range(0, len(windows), _WINDOWS):
        values |= {"model": wanted.model, "limit": limit - len(logs), **_name(windows[start : start + _WINDOWS])}
        logs += _read((await connection.execute(_READ_MODEL_LOGS, values)).mappings().all())
        if len(logs) >= limit:
            break
    return logs


def _name(windows: Sequence[Range]) -> dict[str, int]:
    """Values for all parameters of windows; those that are not needed are empty."""
    given = [*windows, *[(0, 0)] * (_WINDOWS - len(windows))]
    return {
        f"{name}{number}": value
        for number, window in enumerate(given)
        for name, value in zip(("from", "to"), window, strict=True)
    }


def _read(found: Sequence[RowMapping]) -> list[UsageLog]:
    return [msgspec.convert(dict(row), UsageLog, strict=False) for row in found]


async def read_costs(connection: AsyncConnection, request_ids: Sequence[str]) -> dict[str, int]:
    """What calls cost, in picodollars, for those of which there is a row; from the cache they cost nothing."""
    costs: dict[str, int] = {}
    for start in range(0, len(request_ids), _ASKED_TOGETHER):
        asked = list(request_ids[start : start + _ASKED_TOGETHER])
        for row in await connection.execute(_READ_COSTS, {"request_ids": asked}):
            costs[row.request_id] = 0 if row.is_cached else int(row.cost_pusd)
    return costs
