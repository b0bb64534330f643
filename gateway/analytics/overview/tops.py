"""Which models, keys, tags, projects and providers of a period cost most, with their names.

Failure behavior: raises DatabaseUnavailable as gateway.db does, and for tags while older rows are not summed up yet.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.analytics.overview.periods import Period
from gateway.db import Database
from gateway.ledger.figures.reading import read_tags
from gateway.ledger.rollups import HOUR_NS
from gateway.ledger.sums import Dimension, Wanted, read_sums

By = Literal["model", "key", "tag", "project", "provider"]
CHOICES: tuple[By, ...] = get_args(By)
DEFAULT_LIMIT = 10
MAX_LIMIT = 100
_DIMENSIONS: dict[By, tuple[Dimension, ...]] = {
    "model": ("model",),
    "key": ("key_id", "project_id"),
    "project": ("project_id",),
    "provider": ("provider",),
}
_NAME_KEYS = text("SELECT key_id, name FROM keys WHERE key_id IN :ids").bindparams(bindparam("ids", expanding=True))
_NAME_PROJECTS = text("SELECT project_id, name FROM projects WHERE project_id IN :ids").bindparams(
    bindparam("ids", expanding=True)
)


class Top(msgspec.Struct, frozen=True, kw_only=True):
    """One of those that cost most; of an answer from the cache, tokens and cost are 0."""

    id: str
    # What people call it; its id where it has no name.
    name: str
    # Of a key.
    project_id: str | None = None
    requests: int
    errors: int
    cache_hits: int
    tokens: int
    cost_pusd: int
    saved_pusd: int


async def read_top(database: Database, project_ids: tuple[str, ...], period: Period, by: By, limit: int) -> list[Top]:
    """Read up to ``limit``, what costs most first; the period is taken in whole hours."""
    hours = period.in_buckets(HOUR_NS) if period.bucket_ns < HOUR_NS else period
    async with database.read() as connection:
        if by == "tag":
            return await _read_tags(connection, project_ids, hours, limit)
        wanted = Wanted(project_ids=project_ids, from_ns=hours.from_ns, to_ns=hours.to_ns)
        groups = await read_sums(connection, wanted, _DIMENSIONS[by], limit)
        names = await _read_names(connection, by, [str(group[0]) for group in groups])
    return [
        Top(
            id=str(group[0]),
            name=names.get(group[0]) or str(group[0]),
            project_id=str(group[1]) if by == "key" else None,
            requests=sums.requests,
            errors=sums.errors,
            cache_hits=sums.cache_hits,
            tokens=sums.tokens,
            cost_pusd=sums.cost_pusd,
            saved_pusd=sums.saved_pusd,
        )
        for group, sums in groups.items()
    ]


async def _read_tags(connection: AsyncConnection, project_ids: Sequence[str], hours: Period, limit: int) -> list[Top]:
    return [
        Top(
            id=sums.tag,
            name=sums.tag,
            requests=sums.requests,
            errors=sums.errors,
            cache_hits=sums.cache_hits,
            tokens=sums.tokens,
            cost_pusd=sums.cost_pusd,
            saved_pusd=sums.saved_pusd,
        )
        for sums in await read_tags(connection, project_ids, hours.from_ns, hours.to_ns, limit)
    ]


async def _read_names(connection: AsyncConnection, by: By, ids: list[str]) -> dict[str, str]:
    statement = {"key": _NAME_KEYS, "project": _NAME_PROJECTS}.get(by)
    if statement is None or not ids:
        return {}
    return {row[0]: row[1] for row in await connection.execute(statement, {"ids": ids})}
