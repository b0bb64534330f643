"""The figures of projects: ever and this month, exact, each project's own."""

from gateway.analytics.moments import month_start_ns, parse_moment
from gateway.analytics.stats import ProjectStats, read_project_stats
from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import PROJECT_ID, make_row

NOW_NS = parse_moment("2026-11-26T10:00:00Z")
MONTH_NS = month_start_ns(NOW_NS)
OTHER_ID = "proj_01m807j9z9fzctrfnvyefwebwz"


async def insert(database: Database, *rows: UsageRow) -> None:
    """Store rows."""
    async with database.write() as connection:
        await store.insert_rows(connection, rows)


async def test_ever_and_this_month_are_counted_apart(database: Database) -> None:
    """The month begins with its first nanosecond in UTC; an answer from the cache costs nothing."""
    await insert(
        database,
        make_row(MONTH_NS - 1, cost_pusd=7),
        make_row(MONTH_NS, cost_pusd=5),
        make_row(NOW_NS, cost_pusd=2**63 - 1),
        make_row(NOW_NS, cost_pusd=2**63 - 1),
        make_row(NOW_NS, is_cached=True, cost_pusd=11),
    )
    stats = await read_project_stats(database, [PROJECT_ID], NOW_NS)
    assert stats == {
        PROJECT_ID: ProjectStats(
            requests_total=5,
            requests_this_month=4,
            cost_total_pusd=2**64 + 10,
            cost_this_month_pusd=2**64 + 3,
            cache_hit_rate=0.25,
        )
    }


async def test_every_project_has_its_own(database: Database) -> None:
    """And one without calls has zeros."""
    await insert(database, make_row(NOW_NS), make_row(NOW_NS, project_id="proj_nobodys"))
    stats = await read_project_stats(database, [PROJECT_ID, OTHER_ID], NOW_NS)
    assert {project_id: each.requests_total for project_id, each in stats.items()} == {PROJECT_ID: 1, OTHER_ID: 0}
    assert stats[OTHER_ID] == ProjectStats()


async def test_of_no_project_nothing_is_asked(database: Database) -> None:
    """An account without projects."""
    assert await read_project_stats(database, [], NOW_NS) == {}
