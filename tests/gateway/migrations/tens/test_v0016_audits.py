"""Schema 16: audits that are summed up already are counted apart from then on, those that wait are as new ones."""

import random
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from gateway.analytics import verify, verify_figures
from gateway.db import Database
from gateway.ledger.figures.histogram import LATENCY_BOUNDS, OVERHEAD_BOUNDS
from gateway.ledger.figures.reading import add_up, read_series, read_tags
from gateway.ledger.rollups import DAY_NS, HOUR_NS
from gateway.ledger.row import UsageRow
from gateway.ledger.store import insert_rows
from gateway.ledger.sums import Wanted, read_total
from gateway.migrations.apply import WORDS
from gateway.migrations.tens import v0016_audits
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

TABLES = ("usage_rollups", "usage_days", "usage_figures", "usage_tags")
DAY = NOW_NS // DAY_NS * DAY_NS
# As callers write them, one blank of another kind among them.
TAGS = ("", "a", " a,b ,,b", "b\t, \u2003c d", ",")


def make_rows() -> list[UsageRow]:
    """Calls of two days, of two projects; a third of them are audits, and some of each failed."""
    drawn = random.Random(5)  # noqa: S311 - no secret
    return [
        make_row(
            DAY + number * HOUR_NS // 3,
            project_id=drawn.choice((PROJECT_ID, "other")),
            model=drawn.choice(("gpt-4", "gpt-5")),
            error_code=drawn.choice(("", "", "upstream_error")),
            latency_ms=drawn.choice((0, 15, 16, 17, 250, 131_071, 131_072, 10**6)),
            overhead_us=drawn.choice((0, 63, 64, 65, 5_000, 65_535, 65_536, 10**6)),
            tags=drawn.choice(TAGS),
            cache_layer=drawn.choice(("", "", "audit")),
        )
        for number in range(140)
    ]


async def store_as_before(database: Database, rows: list[UsageRow]) -> None:
    """Have rows summed up as the version before did, which took audits for calls of callers."""
    async with database.write() as connection:
        await insert_rows(connection, [msgspec.structs.replace(row, cache_layer="") for row in rows])
        mark = text("UPDATE usage SET cache_layer = 'audit' WHERE request_id = :id")
        for row in rows:
            if row.is_audit:
                await connection.execute(mark, {"id": row.request_id})


async def upgrade(database: Database) -> None:
    """Take the schema of the version before, and go on."""
    async with database.write() as connection:
        for table in TABLES:
            await connection.execute(text(f"ALTER TABLE {table} DROP COLUMN audits"))
        for statement in v0016_audits.STATEMENTS:
            await connection.exec_driver_sql(statement.format_map(WORDS[database.dialect]))


async def differences(database: Database) -> list[Any]:
    """What is not as the rows make it, once all are summed up."""
    sums = [each async for each in verify.find_differences(database)]
    return [*sums, *[each async for each in verify_figures.find_differences(database)]]


@pytest.mark.parametrize("rollups", [0, 61, None])
@pytest.mark.parametrize("figures", [0, 80, None])
async def test_sums_that_are_stored_are_those_of_the_rows(
    database: Database, rollups: int | None, figures: int | None
) -> None:
    """Of all rows, or from one on, or of none: whatever the histories had come to."""
    rows = make_rows()
    async with database.write() as connection:
        for table, first in (("rollup_state", rollups), ("figures_state", figures)):
            rolled_from = {0: "", None: None}[first] if not first else rows[first].request_id
            await connection.execute(text(f"UPDATE {table} SET rolled_from = :first"), {"first": rolled_from})  # noqa: S608 - constants
    await store_as_before(database, rows)
    await upgrade(database)
    assert await differences(database) == []
    own = [row for row in rows if row.project_id == PROJECT_ID]
    asked = [row for row in own if not row.is_audit]
    wanted = Wanted(project_ids=(PROJECT_ID,), from_ns=0, to_ns=2**62)
    async with database.read() as connection:
        total = await read_total(connection, wanted)
        days = await read_series(connection, (PROJECT_ID,), DAY, DAY + 2 * DAY_NS, DAY_NS)
        tags = await read_tags(connection, (PROJECT_ID,), DAY, DAY + 2 * DAY_NS, 9)
    errors = sum(row.error_code != "" for row in asked)
    assert (total.requests, total.audits, total.errors) == (len(asked), len(own) - len(asked), errors)
    assert total.cost_pusd == sum(row.cost_pusd for row in own)
    both = add_up(days.values())
    assert (both.requests, both.errors, sum(both.overhead)) == (len(asked), errors, len(asked) - errors)
    assert {each.tag: each.requests for each in tags} == {
        tag: sum(tag in row.tags for row in asked) for tag in ("a", "b", "c d")
    }


async def test_rows_without_audits_are_left_alone(database: Database) -> None:
    """And nothing stays behind of what it took to look for them."""
    await store_as_before(database, [make_row(tags="a"), make_row(is_cached=True, cache_layer="")])
    await upgrade(database)
    assert await differences(database) == []
    async with database.read() as connection:
        for table in TABLES:
            found = await connection.execute(text(f"SELECT DISTINCT audits FROM {table}"))  # noqa: S608 - constants
            assert found.scalars().all() == [0]
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE audit_rows (n BIGINT)"))


def test_buckets_are_the_histograms() -> None:
    """Those of the figures at hand."""
    assert v0016_audits._bounds(16, 13, 8) == LATENCY_BOUNDS
    assert v0016_audits._bounds(64, 10, 4) == OVERHEAD_BOUNDS
