"""Proves that the sums that are kept are those of the rows and their corrections: for every project, span and key.

Failure behavior: raises DatabaseUnavailable as gateway.db does. Each comparison sees one state of the data, so it may
run beside the calls.
"""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import Database
from gateway.ledger.rollups import DAY_NS, DIMENSIONS, SPANS, STRETCH_NS, fold_history
from gateway.ledger.sums import NOTHING, Dimension, Sums, Wanted, read_sums

BY: tuple[Dimension, ...] = ("key_id", "model", "provider", "upstream_model")
_EVERY_GROUP = 2**31
_FIND_PROJECTS = text("SELECT project_id FROM usage UNION SELECT project_id FROM usage_rollups ORDER BY 1")
_FIND_ENDS = text(
    "SELECT MIN(first) AS first, MAX(last) AS last FROM ("
    "SELECT MIN(created_ns) AS first, MAX(created_ns) AS last FROM usage WHERE project_id = :project_id UNION ALL "
    "SELECT MIN(start_ns), MAX(start_ns) FROM usage_rollups WHERE project_id = :project_id) AS ends"
)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A sum that is not that of its rows."""

    project_id: str
    # Of the stretch of days in which it lies, and the length of the spans that were summed up.
    start_ns: int
    span_ns: int
    key_id: str
    model: str
    provider: str
    upstream_model: str
    # By name: what the rows make, and what is kept.
    measures: dict[str, tuple[int, int]]


async def find_differences(database: Database) -> AsyncGenerator[Difference, None]:
    """Compare every sum with its rows; what was never summed up is summed up first."""
    while await fold_history(database):
        pass
    async for project_id, start_ns in walk_periods(database, _FIND_PROJECTS, _FIND_ENDS, STRETCH_NS):
        for difference in await _compare(database, project_id, start_ns):
            yield difference


async def walk_periods(
    database: Database, find_projects: TextClause, find_ends: TextClause, span_ns: int
) -> AsyncGenerator[tuple[str, int], None]:
    """Name each project and, for it, the start of each span in which it has rows or sums, and of those between.

    ``find_projects`` gives their ids; ``find_ends`` the ``first`` and the ``last`` moment of ``:project_id``.
    """
    async with database.read() as connection:
        project_ids = list((await connection.execute(find_projects)).scalars())
    for project_id in project_ids:
        async with database.read() as connection:
            ends = (await connection.execute(find_ends, {"project_id": project_id})).one()
        for start_ns in range(ends.first // span_ns * span_ns, ends.last + 1, span_ns):
            yield project_id, start_ns


async def _compare(database: Database, project_id: str, start_ns: int) -> list[Difference]:
    wanted = Wanted(project_ids=(project_id,), from_ns=start_ns, to_ns=start_ns + STRETCH_NS)
    async with database.read() as connection:
        rows = await read_sums(connection, wanted, BY, _EVERY_GROUP, longest_ns=0)
        days = await _read_days(connection, wanted)
        kept = {span: await read_sums(connection, wanted, BY, _EVERY_GROUP, longest_ns=span) for span in SPANS}
    found = [_tell_day(project_id, day, *pair) for day, pair in days.items() if pair[0] != pair[1]]
    for span_ns, sums in kept.items():
        for group in sorted(rows.keys() | sums.keys()):
            measures = _differ(rows.get(group, NOTHING), sums.get(group, NOTHING))
            if measures:
                names: dict[str, Any] = dict(zip(DIMENSIONS, group, strict=True))
                place: dict[str, Any] = {"project_id": project_id, "start_ns": start_ns, "span_ns": span_ns}
                found.append(Difference(**names, **place, measures=measures))
    return found


async def _read_days(connection: AsyncConnection, wanted: Wanted) -> dict[int, tuple[Sums, Sums]]:
    """What the rows of each day make, and what is kept of whole projects."""
    rows = await read_sums(connection, wanted, ("day",), _EVERY_GROUP, longest_ns=0)
    kept = await read_sums(connection, wanted, ("day",), _EVERY_GROUP)
    return {key[0]: (rows.get(key, NOTHING), kept.get(key, NOTHING)) for key in sorted(rows.keys() | kept.keys())}


def _tell_day(project_id: str, day: int, of_rows: Sums, kept: Sums) -> Difference:
    """A day of a whole project, whatever key and model."""
    names = dict.fromkeys(DIMENSIONS, "*")
    measures = _differ(of_rows, kept)
    return Difference(project_id=project_id, start_ns=day * DAY_NS, span_ns=DAY_NS, measures=measures, **names)


def _differ(of_rows: Sums, kept: Sums) -> dict[str, tuple[int, int]]:
    pairs = {name: (getattr(of_rows, name), getattr(kept, name)) for name in Sums.__struct_fields__}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
