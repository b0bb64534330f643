"""The SQL of usage rows: how they get into the database, and what is asked of them.

Failure behavior: raises DatabaseUnavailable as gateway.db does. A row that is there already is left as it is, so that
inserting twice, as a replay does, changes nothing.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import astuple
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.row import UsageRow

COLUMNS = tuple(field.name for field in msgspec.structs.fields(UsageRow))
_TYPES: dict[Any, str] = {str: "TEXT", int: "BIGINT", bool: "BOOLEAN"}
_INTO = f"INSERT INTO usage ({', '.join(COLUMNS)})"
_ROW = f"({', '.join('?' * len(COLUMNS))})"
# Many rows a statement: SQLite's driver gives up and takes back the interpreter at each, and waits for it. SQLite takes
# 32,766 parameters at most.
_SQLITE_STATEMENTS = tuple(
    (count, f"{_INTO} VALUES {', '.join([_ROW] * count)} ON CONFLICT DO NOTHING") for count in (500, 100, 20, 4, 1)
)
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
_MATCH = (
    "FROM usage WHERE project_id = :project_id AND created_ns >= :from_ns AND created_ns < :to_ns "
    "AND (CAST(:model AS TEXT) IS NULL OR model = :model)"
)
_BEFORE = "AND (created_ns, request_id) < (:before_ns, :before_id)"
# An answer from the cache used no tokens and cost nothing; what it saved stands in columns of its own.
_LOG = (
    f"SELECT request_id, created_ns, model, is_cached, CASE WHEN is_cached THEN 0 ELSE {_TOKENS} END AS tokens_used, "
    "CASE WHEN is_cached THEN 0 ELSE cost_pusd END AS cost_pusd, tokens_saved, latency_ms, status, is_estimated "
)
_ORDER = "ORDER BY created_ns DESC, request_id DESC LIMIT :limit"
_READ_LOGS = text(f"{_LOG} {_MATCH} {_ORDER}")
_READ_MORE_LOGS = text(f"{_LOG} {_MATCH} {_BEFORE} {_ORDER}")
# Costs are summed in two parts, in whole micro-dollars and in what is left: SQLite's SUM of the whole would end at
# nine million dollars.
_PART = 1_000_000
_COST_SUMS = (
    f"COALESCE(SUM(CASE WHEN is_cached THEN 0 ELSE cost_pusd / {_PART} END), 0) AS cost_high, "
    f"COALESCE(SUM(CASE WHEN is_cached THEN 0 ELSE cost_pusd % {_PART} END), 0) AS cost_low"
)
_SUM_LOGS = text(
    f"SELECT COUNT(*) AS requests, COALESCE(SUM(CASE WHEN is_cached THEN 0 ELSE {_TOKENS} END), 0) AS tokens, "
    f"COALESCE(SUM(CASE WHEN is_cached THEN 1 ELSE 0 END), 0) AS cache_hits, {_COST_SUMS} {_MATCH}"
)
_SUM_COST = text(f"SELECT {_COST_SUMS} {_MATCH}")


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


class UsageSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over all rows that are meant."""

    requests: int
    tokens: int
    cache_hits: int
    cost_pusd: int


async def insert_rows(connection: AsyncConnection, rows: Sequence[UsageRow]) -> None:
    """Insert the rows that are not there yet, inside the caller's transaction."""
    if connection.dialect.name == "postgresql":
        # PostgreSQL stores every character but NUL.
        batch = msgspec.json.encode(rows).replace(b"\\u0000", b"\\ufffd").decode()
        await connection.exec_driver_sql(_POSTGRES, (batch,))
        return
    # Past SQLAlchemy, which would touch each of the 38 values of a row and ask the driver's thread three times a
    # statement: that is a quarter of what storing a row costs.
    driver: Any = (await connection.get_raw_connection()).driver_connection
    start = 0
    for count, statement in _SQLITE_STATEMENTS:
        while len(rows) - start >= count:
            values: list[Any] = []
            for row in rows[start : start + count]:
                values += astuple(row)
            try:
                await driver.execute_fetchall(statement, values)
            except sqlite3.Error as error:
                raise DBAPIError.instance(_INTO, None, error, sqlite3.Error, hide_parameters=True) from error
            start += count


async def read_logs(
    connection: AsyncConnection, wanted: UsageFilter, limit: int, before: UsageLog | None = None
) -> list[UsageLog]:
    """Read up to ``limit`` rows, newest first, all of them older than ``before``."""
    values: dict[str, Any] = {**_values_of(wanted), "limit": limit}
    if before is None:
        found = await connection.execute(_READ_LOGS, values)
    else:
        place = {"before_ns": before.created_ns, "before_id": before.request_id}
        found = await connection.execute(_READ_MORE_LOGS, {**values, **place})
    return [msgspec.convert(dict(row), UsageLog, strict=False) for row in found.mappings()]


async def sum_logs(connection: AsyncConnection, wanted: UsageFilter) -> UsageSums:
    """Sum up every row that is meant, exactly."""
    row = (await connection.execute(_SUM_LOGS, _values_of(wanted))).one()
    # PostgreSQL sums integers to decimals.
    requests, tokens, cache_hits, cost_high, cost_low = (int(value) for value in row)
    return UsageSums(requests=requests, tokens=tokens, cache_hits=cache_hits, cost_pusd=cost_high * _PART + cost_low)


async def sum_pusd(connection: AsyncConnection, wanted: UsageFilter) -> int:
    """Sum up what the calls that are meant cost, exactly."""
    cost_high, cost_low = (await connection.execute(_SUM_COST, _values_of(wanted))).one()
    return int(cost_high) * _PART + int(cost_low)


def _values_of(wanted: UsageFilter) -> dict[str, Any]:
    return {
        "project_id": wanted.project_id,
        "from_ns": wanted.from_ns,
        "to_ns": wanted.to_ns,
        "model": wanted.model,
    }
