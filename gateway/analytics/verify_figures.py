"""Proves that figures that are kept, of projects and tags, are those of the rows and their corrections, day by day.

Failure behavior: raises DatabaseUnavailable as gateway.db does. Each day is compared in one state of the data, so it
may run beside the calls.
"""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.analytics.verify import walk_periods
from gateway.db import Database
from gateway.ledger.figures.facts import PAGE_ROWS, Fact, read_period
from gateway.ledger.figures.history import fold_figures
from gateway.ledger.figures.sums import FIGURES, FIGURES_KEY, TAG_SUMS, TAGS_KEY, Group, Kept, sum_facts
from gateway.ledger.rollups import DAY_NS, PART

_FIND_PROJECTS = text(
    "SELECT project_id FROM usage UNION SELECT project_id FROM usage_figures "
    "UNION SELECT project_id FROM usage_tags ORDER BY 1"
)
_FIND_ENDS = text(
    "SELECT MIN(first) AS first, MAX(last) AS last FROM ("
    "SELECT MIN(created_ns) AS first, MAX(created_ns) AS last FROM usage WHERE project_id = :project_id UNION ALL "
    "SELECT MIN(start_ns), MAX(start_ns) FROM usage_figures WHERE project_id = :project_id UNION ALL "
    "SELECT MIN(start_ns), MAX(start_ns) FROM usage_tags WHERE project_id = :project_id) AS ends"
)
_DAY = "WHERE project_id = :project_id AND start_ns >= :from_ns AND start_ns < :to_ns"
_READ_FIGURES = text(f"SELECT {', '.join((*FIGURES_KEY, *FIGURES))} FROM usage_figures {_DAY}")  # noqa: S608 - constants
_READ_TAGS = text(f"SELECT {', '.join((*TAGS_KEY, *TAG_SUMS))} FROM usage_tags {_DAY}")  # noqa: S608 - constants


class FigureDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Figures that are not those of their rows."""

    project_id: str
    # None: of the whole project.
    tag: str | None
    start_ns: int
    span_ns: int
    # By name: what the rows make, and what is kept.
    measures: dict[str, tuple[int, int]]


async def find_differences(database: Database) -> AsyncGenerator[FigureDifference, None]:
    """Compare all figures with their rows; what was never summed up is summed up first."""
    while await fold_figures(database):
        pass
    async for project_id, start_ns in walk_periods(database, _FIND_PROJECTS, _FIND_ENDS, DAY_NS):
        async with database.read() as connection:
            made = sum_facts(await _read_facts(connection, project_id, start_ns))
            kept = await _read_kept(connection, project_id, start_ns)
        for difference in _compare(made, kept):
            yield difference


async def _read_facts(connection: AsyncConnection, project_id: str, start_ns: int) -> list[Fact]:
    facts: list[Fact] = []
    while True:
        last = facts[-1] if facts else None
        page = await read_period(connection, project_id, start_ns, start_ns + DAY_NS, last)
        facts += page
        if len(page) < PAGE_ROWS:
            return facts


async def _read_kept(connection: AsyncConnection, project_id: str, start_ns: int) -> Kept:
    values = {"project_id": project_id, "from_ns": start_ns, "to_ns": start_ns + DAY_NS}
    figures = await connection.execute(_READ_FIGURES, values)
    tags = await connection.execute(_READ_TAGS, values)
    return Kept(_index(figures, len(FIGURES_KEY)), _index(tags, len(TAGS_KEY)))


def _index(rows: Any, width: int) -> dict[Group, list[int]]:
    return {tuple(row[:width]): [int(value) for value in row[width:]] for row in rows}


def _compare(made: Kept, kept: Kept) -> list[FigureDifference]:
    found: list[FigureDifference] = []
    for names, ours, theirs in ((FIGURES, made.figures, kept.figures), (TAG_SUMS, made.tags, kept.tags)):
        nothing = [0] * len(names)
        for group in sorted(ours.keys() | theirs.keys()):
            made_sums, kept_sums = ours.get(group, nothing), theirs.get(group, nothing)
            if made_sums == kept_sums:
                # As nearly all are: nothing is named for them.
                continue
            measures = _differ(_name(names, made_sums), _name(names, kept_sums))
            if measures:
                project_id, span_ns, start_ns, *rest = group
                tag = str(rest[0]) if rest else None
                place: dict[str, Any] = {"project_id": project_id, "span_ns": span_ns, "start_ns": start_ns}
                found.append(FigureDifference(**place, tag=tag, measures=measures))
    return found


def _name(names: tuple[str, ...], values: list[int]) -> dict[str, int]:
    """Name the sums; the two parts of an amount become one, since a correction divides it otherwise than its row."""
    sums = dict(zip(names, values, strict=True))
    for high in [name for name in names if name.endswith("_high")]:
        amount = high.removesuffix("_high")
        sums[f"{amount}_pusd"] = sums.pop(high) * PART + sums.pop(f"{amount}_low")
    return sums


def _differ(made: dict[str, int], kept: dict[str, int]) -> dict[str, tuple[int, int]]:
    return {name: (value, kept[name]) for name, value in made.items() if value != kept[name]}
