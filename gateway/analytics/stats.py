"""The figures that stand beside a project: its calls, their cost and how many the cache answered, ever and this month.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, text

from gateway.analytics.moments import month_start_ns
from gateway.db import Database

_PART = 1_000_000
_READ = text(
    "SELECT project_id, COUNT(*), SUM(CASE WHEN created_ns >= :month_ns THEN 1 ELSE 0 END), "  # noqa: S608 - constants
    "SUM(CASE WHEN created_ns >= :month_ns AND is_cached THEN 1 ELSE 0 END), "
    f"SUM(CASE WHEN is_cached THEN 0 ELSE cost_pusd / {_PART} END), "
    f"SUM(CASE WHEN is_cached THEN 0 ELSE cost_pusd % {_PART} END), "
    f"SUM(CASE WHEN is_cached OR created_ns < :month_ns THEN 0 ELSE cost_pusd / {_PART} END), "
    f"SUM(CASE WHEN is_cached OR created_ns < :month_ns THEN 0 ELSE cost_pusd % {_PART} END) "
    "FROM usage WHERE project_id IN :project_ids AND created_ns < :now_ns GROUP BY project_id"
).bindparams(bindparam("project_ids", expanding=True))


class ProjectStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a project used; a month is the calendar's in UTC."""

    requests_total: int = 0
    requests_this_month: int = 0
    cost_total_pusd: int = 0
    cost_this_month_pusd: int = 0
    # The share of this month's requests that the cache answered, 0 to 1.
    cache_hit_rate: float = 0.0


async def read_project_stats(database: Database, project_ids: Sequence[str], now_ns: int) -> dict[str, ProjectStats]:
    """Read the figures of each project; one that never made a call has zeros."""
    stats = dict.fromkeys(project_ids, ProjectStats())
    if not stats:
        return stats
    values = {"project_ids": list(stats), "month_ns": month_start_ns(now_ns), "now_ns": now_ns + 1}
    async with database.read() as connection:
        rows = (await connection.execute(_READ, values)).all()
    for project_id, *figures in rows:
        total, month, cached, high, low, month_high, month_low = (int(figure) for figure in figures)
        stats[project_id] = ProjectStats(
            requests_total=total,
            requests_this_month=month,
            cost_total_pusd=high * _PART + low,
            cost_this_month_pusd=month_high * _PART + month_low,
            cache_hit_rate=cached / month if month else 0.0,
        )
    return stats
