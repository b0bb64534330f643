"""Figures that are kept: each row once, in the whole project's and in those of its tags."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.analytics.verify_figures import find_differences
from gateway.db import Database
from gateway.ledger import alike, store
from gateway.ledger.figures import sums
from gateway.ledger.figures.facts import fact_of
from gateway.ledger.figures.sums import FIGURES, SPANS, TAG_SUMS, Change, add_changes, sum_facts
from gateway.ledger.rollups import DAY_NS
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, any_row, make_row


def name(values: list[int], names: tuple[str, ...]) -> dict[str, int]:
    """What is not 0."""
    return {key: value for key, value in zip(names, values, strict=True) if value}


async def insert(database: Database, *rows: UsageRow) -> None:
    """Store rows."""
    async with database.write() as connection:
        await store.insert_rows(connection, rows)


async def clear(database: Database) -> None:
    """Begin with nothing."""
    async with database.write() as connection:
        for table in ("usage_figures", "usage_tags", "usage_rollups", "usage_days", "usage"):
            await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - constants


def test_a_row_counts_by_what_it_is() -> None:
    """Money, layer, and times of what was answered."""
    row = make_row(cost_pusd=3_000_007, prompt_saved_pusd=5, overhead_us=70, latency_ms=17, tags="x")
    hit = make_row(is_cached=True, cache_layer="semantic", saved_pusd=2_000_001, overhead_us=1)
    failed = make_row(error_code="upstream_error", cost_pusd=0)
    # Some of its inputs were kept.
    part = make_row(cost_pusd=0, saved_pusd=1_000_004, latency_ms=17, overhead_us=70)
    audits = [make_row(cache_layer="audit", cost_pusd=1, tags="y", error_code=error) for error in ("", "e")]
    kept = sum_facts(map(fact_of, (row, hit, failed, part, *audits)))
    day = kept.figures[PROJECT_ID, DAY_NS, NOW_NS // DAY_NS * DAY_NS]
    assert name(day, FIGURES) == {
        "requests": 6,
        "errors": 1,
        "tokens": 750,
        "cost_high": 3,
        "cost_low": 9,
        "semantic_hits": 1,
        "exact_saved_high": 1,
        "exact_saved_low": 4,
        "semantic_saved_high": 2,
        "semantic_saved_low": 1,
        "prompt_saved_low": 5,
        "latency_1": 2,
        "overhead_0": 1,
        "overhead_1": 2,
        "audits": 2,
    }
    assert [name(each, TAG_SUMS) for (*_, tag), each in kept.tags.items() if tag == "x"] == [
        {"requests": 1, "tokens": 150, "cost_high": 3, "cost_low": 7}
    ] * len(SPANS)
    assert [name(each, TAG_SUMS) for (*_, tag), each in kept.tags.items() if tag == "y"] == [
        {"requests": 2, "tokens": 300, "cost_low": 2, "audits": 2}
    ] * len(SPANS)


ROWS = st.lists(
    st.tuples(any_row(), st.sampled_from(["", "a", "a,b", "b\0"]), st.sampled_from(["", "semantic", "audit"])).map(
        lambda drawn: UsageRow(
            **{
                **{field: getattr(drawn[0], field) for field in UsageRow.__struct_fields__},
                "project_id": PROJECT_ID,
                "created_ns": NOW_NS + drawn[0].created_ns % (3 * DAY_NS),
                "tags": drawn[1],
                "cache_layer": drawn[2],
            }
        )
    ),
    max_size=8,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, few=st.sampled_from((1, 20)))
async def test_what_is_kept_is_what_the_rows_make(database: Database, rows: list[UsageRow], few: int) -> None:
    """Whatever a caller causes, together or one by one, stored twice."""
    await clear(database)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(alike, "FEW", few)
        await insert(database, *rows)
        await insert(database, *rows)
    assert [difference async for difference in find_differences(database)] == []


async def test_corrections_are_added_and_taken_off(database: Database) -> None:
    """Of the project and of each tag."""
    row = make_row(cost_pusd=5, prompt_saved_pusd=1, tags="a,b")
    await insert(database, row)
    async with database.write() as connection:
        await add_changes(connection, [Change(PROJECT_ID, row.created_ns, row.tags, -2, 8)])
        saved = (await connection.execute(text("SELECT prompt_saved_high, prompt_saved_low FROM usage_figures"))).all()
        found: list[Any] = []
        for table in ("usage_figures", "usage_tags"):
            found += (await connection.execute(text(f"SELECT cost_high, cost_low FROM {table}"))).all()  # noqa: S608 - constants
    assert {high * sums.PART + low for high, low in found} == {3}
    assert {high * sums.PART + low for high, low in saved} == {9}
    assert len(found) == 3 * len(SPANS)


async def test_a_name_may_hold_any_character(database: Database) -> None:
    """PostgreSQL stores every one but NUL, for which another stands there, as in the rows."""
    async with database.write() as connection:
        await store.insert_rows(connection, [make_row(NOW_NS, project_id="a\0b", tags="c\0d")])
        names = (await connection.execute(text("SELECT DISTINCT project_id FROM usage_figures"))).scalars().all()
        stored = (await connection.execute(text("SELECT project_id FROM usage"))).scalars().all()
    assert names == stored
