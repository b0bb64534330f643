"""The figures that stand beside a project: its calls, their cost and how many the cache answered, ever and this month.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

from collections.abc import Sequence

import msgspec

from gateway.analytics.moments import month_start_ns
from gateway.db import Database
from gateway.ledger.sums import NOTHING, Wanted, read_sums


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
    if not project_ids:
        return {}
    ever = Wanted(project_ids=tuple(project_ids), from_ns=0, to_ns=now_ns + 1)
    this_month = msgspec.structs.replace(ever, from_ns=month_start_ns(now_ns))
    async with database.read() as connection:
        totals = await read_sums(connection, ever, ("project_id",), len(project_ids))
        months = await read_sums(connection, this_month, ("project_id",), len(project_ids))
    stats: dict[str, ProjectStats] = {}
    for project_id in project_ids:
        total, month = totals.get((project_id,), NOTHING), months.get((project_id,), NOTHING)
        stats[project_id] = ProjectStats(
            requests_total=total.requests,
            requests_this_month=month.requests,
            cost_total_pusd=total.cost_pusd,
            cost_this_month_pusd=month.cost_pusd,
            cache_hit_rate=month.cache_hit_rate,
        )
    return stats
