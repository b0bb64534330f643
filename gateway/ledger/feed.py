"""The order in which calls were stored, by all processes together, for those who follow them.

Each transaction that stores calls adds an entry with their ids, or several; the last MAX_ENTRIES are kept. On
PostgreSQL entries may become visible out of order: a follower looks for those it has missed for GAP_S.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import run_sqlite
from gateway.ledger.row import UsageRow

# More than three minutes of the fastest folding.
MAX_ENTRIES = 2_000
# Followers look up all calls of some entries in one statement, which SQLite lets have 32,766 parameters.
MAX_ENTRY_ROWS = 1_000
# Longer than any transaction lasts.
GAP_S = 20
_INSERT, _PRUNE = (
    "INSERT INTO usage_feed (request_ids) VALUES ({}) RETURNING number",
    "DELETE FROM usage_feed WHERE number <= {}",
)
_SQLITE_INSERT, _SQLITE_PRUNE = _INSERT.format("?"), _PRUNE.format("?")
_POSTGRES_INSERT, _POSTGRES_PRUNE = text(_INSERT.format(":request_ids")), text(_PRUNE.format(":number"))
_READ_LAST = text("SELECT MAX(number) AS last, MIN(number) AS first FROM usage_feed")
_READ = text("SELECT number, request_ids FROM usage_feed WHERE number > :after ORDER BY number LIMIT :limit")
_READ_MISSED = text("SELECT number, request_ids FROM usage_feed WHERE number IN :numbers ORDER BY number").bindparams(
    bindparam("numbers", expanding=True)
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction stored, or a part of it."""

    number: int
    request_ids: tuple[str, ...]


async def note_stored(connection: AsyncConnection, rows: Sequence[UsageRow]) -> None:
    """Add entries for rows that were just inserted, inside the caller's transaction."""
    is_postgres, number = connection.dialect.name == "postgresql", 0
    for start in range(0, len(rows), MAX_ENTRY_ROWS):
        request_ids = ",".join([row.request_id for row in rows[start : start + MAX_ENTRY_ROWS]])
        if is_postgres:
            number = (await connection.execute(_POSTGRES_INSERT, {"request_ids": request_ids})).scalar_one()
        else:
            ((number,),) = await run_sqlite(connection, _SQLITE_INSERT, (request_ids,))
    if rows and is_postgres:
        await connection.execute(_POSTGRES_PRUNE, {"number": number - MAX_ENTRIES})
    elif rows:
        await run_sqlite(connection, _SQLITE_PRUNE, (number - MAX_ENTRIES,))


async def read_ends(connection: AsyncConnection) -> tuple[int, int]:
    """The numbers of the oldest and of the newest entry; 0 and 0 where there is none."""
    found = (await connection.execute(_READ_LAST)).one()
    return int(found.first or 0), int(found.last or 0)


async def read_entries(connection: AsyncConnection, after: int, limit: int) -> list[Entry]:
    """Read up to ``limit`` entries behind one, in their order."""
    return _read(await connection.execute(_READ, {"after": after, "limit": limit}))


async def read_missed(connection: AsyncConnection, numbers: Iterable[int]) -> list[Entry]:
    """Read entries by their numbers, those that are there."""
    wanted = sorted(numbers)
    return _read(await connection.execute(_READ_MISSED, {"numbers": wanted})) if wanted else []


def _read(found: Iterable[Sequence[object]]) -> list[Entry]:
    return [Entry(number=int(str(number)), request_ids=tuple(str(ids).split(","))) for number, ids in found]
