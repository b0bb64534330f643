"""Sums of usage by hour, day and stretch of days, kept in the transaction that stores the rows.

A row is summed up exactly once: as it is inserted, or, where it was stored before there were sums, by ``fold_history``,
which goes from the newest of those to the oldest. ``rolled_from`` tells how far that is, and decides for each row
which of the two it is.

Failure behavior: raises DatabaseUnavailable as gateway.db does. Counts of tokens are summed in 64 bits: sums that do
not fit are refused with the rows that make them, and the recorder keeps those aside.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import Database, facts_of
from gateway.ledger.alike import Alike, Batch, gather
from gateway.ledger.inserts import SqliteInsert
from gateway.ledger.row import AUDIT, UsageRow

HOUR_NS = 3_600 * 1_000_000_000
DAY_NS = 24 * HOUR_NS
# Long enough that a year has a dozen, and whole days that need no calendar.
STRETCH_NS = 32 * DAY_NS
SPANS = (STRETCH_NS, DAY_NS, HOUR_NS)
# Amounts are summed in whole micro-dollars and in what is left: 64 bits end at nine million dollars.
PART = 1_000_000
# Rows of the history that are summed up in one transaction.
HISTORY_ROWS = 20_000
DIMENSIONS = ("key_id", "model", "provider", "upstream_model")
TOKENS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "output_tokens",
    "audio_output_tokens",
    "image_output_tokens",
    "reasoning_tokens",
)
_IS_AUDIT = f"cache_layer = '{AUDIT}'"
# What is summed, and how it follows from a row. An answer from the cache used no tokens and cost nothing. An audit used
# and cost what it did, but nobody asked for it: it is counted apart, and is no error and no time that anybody waited.
# ``requests`` counts every row, so that logs can be paged by it. ``_measure`` says the same for the rows at hand; a
# test compares the two.
MEASURES: dict[str, str] = {
    "requests": "1",
    "errors": f"CASE WHEN error_code = '' OR {_IS_AUDIT} THEN 0 ELSE 1 END",
    "cache_hits": "CASE WHEN is_cached THEN 1 ELSE 0 END",
    **{name: f"CASE WHEN is_cached THEN 0 ELSE {name} END" for name in TOKENS},
    "tokens_saved": "tokens_saved",
    "cost_high": f"CASE WHEN is_cached THEN 0 ELSE cost_pusd / {PART} END",
    "cost_low": f"CASE WHEN is_cached THEN 0 ELSE cost_pusd % {PART} END",
    "saved_high": f"saved_pusd / {PART}",
    "saved_low": f"saved_pusd % {PART}",
    "latency_ms": f"CASE WHEN {_IS_AUDIT} THEN 0 ELSE latency_ms END",
    "audits": f"CASE WHEN {_IS_AUDIT} THEN 1 ELSE 0 END",
}
KEY = ("project_id", "span_ns", "start_ns", *DIMENSIONS)
_GROUPS = ", ".join(DIMENSIONS)
_COLUMNS = (*KEY, *MEASURES)
_INTO = f"INSERT INTO usage_rollups ({', '.join(_COLUMNS)})"
# Sums are stored in the order of their key: processes that do so at once wait for each other in one direction only.
_ADD = f"ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET " + ", ".join(
    f"{name} = usage_rollups.{name} + excluded.{name}" for name in MEASURES
)
_SQLITE_ADD = SqliteInsert(_INTO, len(_COLUMNS), _ADD)
_TEXTS = frozenset({"project_id", *DIMENSIONS})
_POSTGRES_SELECT = ", ".join(
    f"(s ->> {position})::{'TEXT' if name in _TEXTS else 'BIGINT'}" for position, name in enumerate(_COLUMNS)
)
_POSTGRES_ADD = f"{_INTO} SELECT {_POSTGRES_SELECT} FROM jsonb_array_elements($1::jsonb) AS s {_ADD}"  # noqa: S608 - made of constants

# The lock keeps the history's fold and the rows that come meanwhile apart, until the commit.
_READ_ROLLED = {
    "sqlite": text("SELECT rolled_from FROM rollup_state"),
    "postgresql": text("SELECT rolled_from FROM rollup_state FOR SHARE"),
}
# There is nothing behind the first row: once all are summed up they stay so.
_IS_WHOLE = "all usage is in the rollups"
_PEEK_ROLLED = text("SELECT rolled_from FROM rollup_state")
_LOCK_ROLLED = text("UPDATE rollup_state SET rolled_from = rolled_from RETURNING rolled_from")
_FIND_NEXT = text(
    "SELECT request_id FROM usage WHERE CAST(:until AS TEXT) IS NULL OR request_id < :until "
    "ORDER BY request_id DESC LIMIT 1 OFFSET :skipped"
)
_MOVE_ROLLED = text("UPDATE rollup_state SET rolled_from = :rolled_from")


def write_sums(rows: str, spans: Sequence[int] = SPANS) -> str:
    """Write the SELECT that sums up ``rows``, the rest of a SELECT on usage from its FROM on: by hour, then by span."""
    hours = ", ".join(f"SUM({how}) AS {name}" for name, how in MEASURES.items())
    sums = ", ".join(f"SUM({name}) AS {name}" for name in MEASURES)
    table = " UNION ALL ".join(f"SELECT {span} AS span_ns" for span in spans)
    hour = f"created_ns - created_ns % {HOUR_NS}"
    start = "hour_ns - hour_ns % span_ns"
    return (
        f"SELECT project_id, span_ns, {start} AS start_ns, {_GROUPS}, {sums} FROM ("  # noqa: S608 - made of constants
        f"SELECT project_id, {hour} AS hour_ns, {_GROUPS}, {hours} {rows} GROUP BY project_id, {hour}, {_GROUPS}"
        f") AS hours CROSS JOIN ({table}) AS spans GROUP BY project_id, span_ns, {start}, {_GROUPS}"
    )


class Group(NamedTuple):
    """What tells in which sums a row is; see gateway.ledger.row."""

    project_id: str
    created_ns: int
    key_id: str
    model: str
    provider: str
    upstream_model: str


_DAY_COLUMNS = ("project_id", "start_ns", *MEASURES)
_INTO_DAYS = f"INSERT INTO usage_days ({', '.join(_DAY_COLUMNS)})"
_ADD_DAYS = "ON CONFLICT (project_id, start_ns) DO UPDATE SET " + ", ".join(
    f"{name} = usage_days.{name} + excluded.{name}" for name in MEASURES
)
_SQLITE_ADD_DAYS = SqliteInsert(_INTO_DAYS, len(_DAY_COLUMNS), _ADD_DAYS)
_POSTGRES_SELECT_DAYS = ", ".join(
    f"(s ->> {position})::{'TEXT' if name in _TEXTS else 'BIGINT'}" for position, name in enumerate(_DAY_COLUMNS)
)
_POSTGRES_ADD_DAYS = (
    f"{_INTO_DAYS} SELECT {_POSTGRES_SELECT_DAYS} FROM jsonb_array_elements($1::jsonb) AS s {_ADD_DAYS}"  # noqa: S608 - made of constants
)


def write_day_sums(rows: str) -> str:
    """Write the SELECT that sums up ``rows``, as for ``write_sums``, by project and day."""
    start = f"created_ns - created_ns % {DAY_NS}"
    sums = ", ".join(f"SUM({how}) AS {name}" for name, how in MEASURES.items())
    return f"SELECT project_id, {start} AS start_ns, {sums} {rows} GROUP BY project_id, {start}"


_HISTORY = "FROM usage WHERE request_id >= :rolled_from AND (CAST(:until AS TEXT) IS NULL OR request_id < :until)"
_FOLD_HISTORY = text(f"{_INTO} {write_sums(_HISTORY)} ORDER BY {', '.join(KEY)} {_ADD}")
_FOLD_HISTORY_DAYS = text(f"{_INTO_DAYS} {write_day_sums(_HISTORY)} ORDER BY project_id, start_ns {_ADD_DAYS}")


async def add_rows(connection: AsyncConnection, rows: Sequence[UsageRow], batch: Batch) -> None:
    """Add rows that were just inserted, which ``batch`` has as well, to their sums, inside the caller's transaction."""
    rolled_from = await read_rolled(connection)
    if rolled_from is None:
        return
    if rolled_from:
        rows = [row for row in rows if row.request_id >= rolled_from]
        batch = gather(rows, HOUR_NS)
    if not rows:
        return
    sums = sum_rows(batch)
    if connection.dialect.name == "postgresql" and b"\\u0000" in msgspec.json.encode(sums):
        # PostgreSQL has no NUL: names that differ by one alone are the same there.
        sums = sum_rows(gather([_without_nul(row) for row in rows], HOUR_NS))
    await _add_sums(connection, sums)


async def add_costs(connection: AsyncConnection, costs: Iterable[tuple[Group, int]]) -> None:
    """Add amounts, which may be negative, to the sums that stored rows are in, inside the caller's transaction."""
    totals: dict[tuple[Any, ...], int] = {}
    for (project_id, created_ns, *others), pusd in costs:
        for span_ns in SPANS:
            key = (project_id, span_ns, created_ns // span_ns * span_ns, *others)
            totals[key] = totals.get(key, 0) + pusd
    nothing = dict.fromkeys(MEASURES, 0)
    sums: list[tuple[Any, ...]] = []
    for key in sorted(totals):
        high, low = divmod(totals[key], PART)
        sums.append((*key, *(nothing | {"cost_high": high, "cost_low": low}).values()))
    await _add_sums(connection, sums)


async def _add_sums(connection: AsyncConnection, sums: Sequence[tuple[Any, ...]]) -> None:
    """Add what is in the order of the key, with the days that it makes."""
    days = sum_days(sums)
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql(_POSTGRES_ADD, (msgspec.json.encode(sums).decode(),))
        await connection.exec_driver_sql(_POSTGRES_ADD_DAYS, (msgspec.json.encode(days).decode(),))
    else:
        await _SQLITE_ADD.run(connection, sums)
        await _SQLITE_ADD_DAYS.run(connection, days)


def sum_days(sums: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Sum up what ``sum_rows`` made by project and day: values for usage_days, in the order of its key."""
    days: dict[tuple[str, int], list[int]] = {}
    for project_id, span_ns, start_ns, *rest in sums:
        if span_ns == DAY_NS:
            measured = rest[len(DIMENSIONS) :]
            known = days.get((project_id, start_ns))
            days[project_id, start_ns] = (
                measured if known is None else [a + b for a, b in zip(known, measured, strict=True)]
            )
    return [(*key, *days[key]) for key in sorted(days)]


def _without_nul(row: UsageRow) -> UsageRow:
    names: dict[str, str] = {name: getattr(row, name) for name in ("project_id", *DIMENSIONS)}
    return msgspec.structs.replace(row, **{name: value.replace("\0", "\ufffd") for name, value in names.items()})


def sum_rows(batch: Batch) -> list[tuple[Any, ...]]:
    """Sum rows of hours up by every span: values for the columns of usage_rollups, in the order of their key."""
    hours: dict[tuple[str, int, str, str, str, str], list[int]] = {}
    for alike in batch.alike:
        row = alike.common
        key = (row.project_id, alike.span, row.key_id, row.model, row.provider, row.upstream_model)
        measured = _measure_alike(alike)
        known = hours.get(key)
        hours[key] = measured if known is None else [a + b for a, b in zip(known, measured, strict=True)]
    for row in batch.others:
        key = (row.project_id, row.created_ns // HOUR_NS, row.key_id, row.model, row.provider, row.upstream_model)
        known = hours.get(key)
        if known is None:
            hours[key] = _measure(row)
        else:
            _add(known, row)
    sums: dict[tuple[Any, ...], list[int]] = {}
    for (project_id, hour, *others), measured in hours.items():
        for span_ns in SPANS:
            start_ns = hour * HOUR_NS // span_ns * span_ns
            group = (project_id, span_ns, start_ns, *others)
            known = sums.get(group)
            sums[group] = measured if known is None else [a + b for a, b in zip(known, measured, strict=True)]
    return [(*group, *sums[group]) for group in sorted(sums)]


def _measure_alike(alike: Alike) -> list[int]:
    """What rows that are alike add to each of MEASURES."""
    row, own, count = alike.common, alike.own, len(alike.rows)
    used = (0,) * 12
    if not row.is_cached:
        used = (
            sum(own.input_tokens),
            sum(own.cache_read_tokens),
            row.cache_write_tokens * count,
            row.cache_write_1h_tokens * count,
            row.audio_input_tokens * count,
            row.image_input_tokens * count,
            sum(own.output_tokens),
            row.audio_output_tokens * count,
            row.image_output_tokens * count,
            sum(own.reasoning_tokens),
            *split_amounts(own.cost_pusd),
        )
    return [
        count,
        count if row.error_code and not row.is_audit else 0,
        count if row.is_cached else 0,
        *used[:10],
        sum(own.tokens_saved),
        *used[10:],
        *split_amounts(own.saved_pusd),
        0 if row.is_audit else sum(own.latency_ms),
        count if row.is_audit else 0,
    ]


def split_amounts(amounts: Sequence[int]) -> tuple[int, int]:
    """Sum amounts up as they are kept: in whole micro-dollars, and what each leaves of one."""
    high = sum([pusd // PART for pusd in amounts])
    return high, sum(amounts) - high * PART


def _measure(row: UsageRow) -> list[int]:
    """What a row adds to each of MEASURES."""
    measured = [0] * len(MEASURES)
    _add(measured, row)
    return measured


def _add(sums: list[int], row: UsageRow) -> None:
    """Add a row to the sums of MEASURES; most of its counts are 0."""
    sums[0] += 1
    if row.is_audit:
        sums[19] += 1
    else:
        sums[18] += row.latency_ms
        if row.error_code:
            sums[1] += 1
    if row.is_cached:
        sums[2] += 1
    else:
        sums[3] += row.input_tokens
        sums[9] += row.output_tokens
        if row.cache_read_tokens:
            sums[4] += row.cache_read_tokens
        if row.cache_write_tokens or row.cache_write_1h_tokens:
            sums[5] += row.cache_write_tokens
            sums[6] += row.cache_write_1h_tokens
        if row.audio_input_tokens or row.image_input_tokens or row.audio_output_tokens or row.image_output_tokens:
            sums[7] += row.audio_input_tokens
            sums[8] += row.image_input_tokens
            sums[10] += row.audio_output_tokens
            sums[11] += row.image_output_tokens
        if row.reasoning_tokens:
            sums[12] += row.reasoning_tokens
        high, low = divmod(row.cost_pusd, PART)
        sums[14] += high
        sums[15] += low
    if row.tokens_saved or row.saved_pusd:
        sums[13] += row.tokens_saved
        high, low = divmod(row.saved_pusd, PART)
        sums[16] += high
        sums[17] += low


async def read_rolled(connection: AsyncConnection, *, locks: bool = True) -> str | None:
    """Tell from which row on all are summed up: '' from the first, None: none is. ``locks``: until the commit."""
    return await read_state(connection, _READ_ROLLED[connection.dialect.name] if locks else _PEEK_ROLLED, _IS_WHOLE)


async def read_state(connection: AsyncConnection, statement: TextClause, whole: str) -> str | None:
    """Read how far a history is summed up; where all of it is, a connection remembers it by the name ``whole``."""
    facts = facts_of(connection)
    if facts.get(whole):
        return ""
    rolled_from: str | None = (await connection.execute(statement)).scalar_one()
    facts[whole] = rolled_from == ""
    return rolled_from


async def fold_history(database: Database) -> bool:
    """Sum up some of the rows that were stored before there were sums; tells whether more may be left.

    May be called by several processes at once, and stopped at any moment.
    """
    async with database.write() as connection:
        until: str | None = (await connection.execute(_LOCK_ROLLED)).scalar_one()
        if until == "":
            return False
        wanted = {"until": until, "skipped": HISTORY_ROWS - 1}
        rolled_from: str = (await connection.execute(_FIND_NEXT, wanted)).scalar_one_or_none() or ""
        for statement in (_FOLD_HISTORY, _FOLD_HISTORY_DAYS):
            await connection.execute(statement, {"until": until, "rolled_from": rolled_from})
        await connection.execute(_MOVE_ROLLED, {"rolled_from": rolled_from})
    return rolled_from != ""
